"""A control vector in llama.cpp itself against the hook, on the same tiny Llama.

    python -m tests.export.llama_parity PYTHON

PYTHON is an interpreter that has llama-cpp-python: its build takes most of an hour on two cores, so
that it is in no environment of ours. The language model of a random LLaVA is written as GGUF; the
vector is exported, its rows are taken from the file by the published rules, and llama.cpp applies
them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tests.builders import build_llava, build_vector
from tests.export.test_gguf import by_the_rules

import shiftlens as sl
from shiftlens.steering.intervening import Intervention

_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def _turned(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries and keys as llama.cpp pairs them for rotation: neighbours, not halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def write_llama(model: Any, path: Path) -> None:
    """The language model of a LLaVA, float32, without a vocabulary of texts."""
    config = model.hf.config.text_config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    inner = model.hf.model.language_model
    for at, block in enumerate(inner.layers):
        for ours, theirs in _NAMES.items():
            weight = block.get_submodule(ours).weight.detach().float().numpy()
            turned = _turned(weight, heads[theirs]) if theirs in heads else weight
            writer.add_tensor(f"blk.{at}.{theirs}.weight", np.ascontiguousarray(turned))
    for name, module in (
        ("token_embd", inner.embed_tokens),
        ("output_norm", inner.norm),
        ("output", model.hf.lm_head),
    ):
        writer.add_tensor(f"{name}.weight", module.weight.detach().float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def compare(python: str, folder: Path) -> dict[str, float]:
    """Largest differences of logits: llama.cpp's from the hook's, and what steering changes."""
    model = sl.load_model(build_llava(folder / "llava"))
    parts = [
        Intervention(build_vector(layer=at, seed=at, length=4.0), strength, "all")
        for at, strength in ((1, 1.0), (2, -0.5), (3, 2.0))
    ]
    made = sl.export(parts, "gguf", folder / "out", model=model)
    np.save(folder / "rows.npy", by_the_rules(made.files[0], model.address.d))
    tokens = model.tokenizer("is the dog in the picture ? a man is standing on the beach")[
        "input_ids"
    ]
    (folder / "tokens.json").write_text(json.dumps(tokens))
    write_llama(model, folder / "model.gguf")
    script = Path(__file__).with_name("with_llama.py")
    names = ("model.gguf", "rows.npy", "tokens.json", "out.npz")
    words = [python, str(script), *(str(folder / name) for name in names)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = np.load(folder / "out.npz")
    ids = torch.tensor([tokens])
    with torch.no_grad():
        plain = model.hf(input_ids=ids).logits[0].numpy()
        with sl.steer(model, parts):
            steered = model.hf(input_ids=ids).logits[0].numpy()
            model.generate(None, "what", max_new_tokens=1)  # a context in which nothing is said
    return {
        "unsteered": float(np.abs(theirs["plain"] - plain).max()),
        "steered": float(np.abs(theirs["steered"] - steered).max()),
        "what steering changes": float(np.abs(steered - plain).max()),
        "largest logit": float(np.abs(steered).max()),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, value in compare(sys.argv[1], Path(place)).items():
            print(f"{name:<24} {value:.2e}")  # noqa: T201


if __name__ == "__main__":
    main()
