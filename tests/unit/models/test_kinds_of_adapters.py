"""Adapters of many kinds beside one base: each switches to the bit, or is refused by its name."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.variants import load_variants

SOME = r".*language_model.*\.(q_proj|v_proj|down_proj)"
ONE = r".*language_model.*\.q_proj"


def _kinds() -> dict[str, Callable[[], Any]]:
    import peft

    return {
        "LORA": lambda: peft.LoraConfig(target_modules=SOME, r=4),
        "DORA": lambda: peft.LoraConfig(target_modules=SOME, r=4, use_dora=True),
        "LOHA": lambda: peft.LoHaConfig(target_modules=SOME, r=4),
        "LOKR": lambda: peft.LoKrConfig(target_modules=SOME, r=4),
        "ADALORA": lambda: peft.AdaLoraConfig(target_modules=SOME, total_step=10),
        "IA3": lambda: peft.IA3Config(target_modules=SOME, feedforward_modules=r".*down_proj"),
        "OFT": lambda: peft.OFTConfig(target_modules=SOME, oft_block_size=8),
        "VERA": lambda: peft.VeraConfig(target_modules=ONE, r=4),
        "VBLORA": lambda: peft.VBLoRAConfig(
            target_modules=ONE, num_vectors=8, vector_length=8, r=2
        ),
        "FOURIERFT": lambda: peft.FourierFTConfig(target_modules=ONE, n_frequency=20),
        "HRA": lambda: peft.HRAConfig(target_modules=SOME, r=4),
        "LN_TUNING": lambda: peft.LNTuningConfig(target_modules=["input_layernorm"]),
        "TRAINABLE_TOKENS": lambda: peft.TrainableTokensConfig(
            token_indices=[5, 30], target_modules=["embed_tokens"]
        ),
        "POLY": lambda: peft.PolyConfig(target_modules=ONE, r=2, n_tasks=2),
    }


LIVING = [
    "LORA", "DORA", "LOHA", "LOKR", "ADALORA", "IA3", "OFT", "VERA", "VBLORA", "FOURIERFT", "HRA",
    "LN_TUNING", "TRAINABLE_TOKENS",
]  # fmt: skip
SCALED = ["LORA", "LOHA", "LOKR", "ADALORA"]
BESIDE = ["PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "ADAPTION_PROMPT"]


def _write(base: Path, path: Path, kind: str, seed: int = 0) -> Path:
    """An adapter of a kind, with random weights."""
    import peft
    from transformers import AutoModelForImageTextToText

    hf = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    random = torch.Generator().manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = peft.get_peft_model(hf, _kinds()[kind]())
        with torch.no_grad():
            for tensor in adapted.parameters():
                if tensor.requires_grad:
                    tensor.add_(0.2 * torch.randn(tensor.shape, generator=random))
        adapted.save_pretrained(path, save_embedding_layers=False)
    return path


@pytest.fixture(scope="module")
def written(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root, made = tmp_path_factory.mktemp("kinds"), dict[str, Path]()

    def write(kind: str) -> Path:
        if kind not in made:
            made[kind] = _write(tiny_path, root / kind, kind)
        return made[kind]

    return write


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


# PEFT says of any layer that is not linear, convolution or embedding that it may not fit.
@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.parametrize("kind", LIVING)
def test_it_switches_and_leaves_the_base_alone(
    tiny: Model,
    tiny_path: Path,
    written: Callable[[str], Path],
    questions: list[Sample],
    kind: str,
) -> None:
    base, tuned = load_pair(tiny_path, written(kind))
    samples = [*questions[:2], Sample("t", "what is a man on the beach")]
    alone = _logits(tiny, samples)
    first, changed, again, once_more = (_logits(m, samples) for m in (base, tuned, base, tuned))
    assert first.allclose(alone, rtol=0, atol=1e-4)
    assert again.equal(first)
    assert once_more.equal(changed)
    assert not changed.allclose(first, rtol=0, atol=1e-3)
    assert _logits(tuned.at_scale(0.0), samples).equal(first)
    assert _logits(tuned.at_scale(1.0), samples).equal(changed)
    if kind not in SCALED:
        with pytest.raises(MismatchError, match=r"cannot be run at adapter scale 0\.5"):
            tuned.at_scale(0.5)


@pytest.mark.parametrize("kind", SCALED)
def test_a_scale_multiplies_what_a_module_adds(
    tiny_path: Path, written: Callable[[str], Path], kind: str
) -> None:
    base, tuned = load_pair(tiny_path, written(kind))
    module = tuned.hf.get_submodule(tuned.adapter_modules()[0])
    states = torch.linspace(-1, 1, 64).reshape(2, 32)

    def out(model: Model) -> torch.Tensor:
        with model.active(), torch.no_grad():
            return module(states)

    whole = out(tuned) - out(base)
    assert float(whole.abs().max()) > 1e-3
    for scale in (0.25, 0.5, 0.9):
        part = out(tuned.at_scale(scale)) - out(base)
        assert part.allclose(scale * whole, atol=1e-5, rtol=1e-4)
        assert not part.allclose(scale**2 * whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["LOHA", "LOKR", "IA3", "DORA"])
def test_two_of_a_kind_share_one_module(
    tiny_path: Path,
    written: Callable[[str], Path],
    tmp_path: Path,
    questions: list[Sample],
    kind: str,
) -> None:
    paths = [written(kind), _write(tiny_path, tmp_path / "other", kind, seed=1)]
    base, first, second = load_variants(tiny_path, paths)
    assert base.hf is first.hf is second.hf
    expected = [_logits(load_model(tiny_path, adapter=path), questions) for path in paths]
    for model, logits in ((first, expected[0]), (second, expected[1]), (first, expected[0])):
        assert _logits(model, questions).allclose(logits, rtol=0, atol=1e-3)
    assert not expected[0].allclose(expected[1], rtol=0, atol=1e-2)


@pytest.mark.parametrize("kind", BESIDE)
def test_kinds_that_add_positions_are_refused_by_name(
    tiny_path: Path, tmp_path: Path, kind: str
) -> None:
    import peft

    options = {"task_type": "CAUSAL_LM"}
    config: Any = {
        "PROMPT_TUNING": lambda: peft.PromptTuningConfig(**options, num_virtual_tokens=2),
        "PREFIX_TUNING": lambda: peft.PrefixTuningConfig(**options, num_virtual_tokens=2),
        "P_TUNING": lambda: peft.PromptEncoderConfig(**options, num_virtual_tokens=2),
        "ADAPTION_PROMPT": lambda: peft.AdaptionPromptConfig(
            **options, adapter_len=2, adapter_layers=2
        ),
    }[kind]()
    config.save_pretrained(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(DataError, match=f"of type {kind}, which adds positions"):
        load_pair(tiny_path, tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT: of a mixture without adapters
def test_a_mixture_of_adapters_is_refused_by_name(tiny_path: Path, tmp_path: Path) -> None:
    import peft

    peft.XLoraConfig(hidden_size=32).save_pretrained(tmp_path)
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(DataError, match="of type XLORA, which puts a model of its own"):
        load_pair(tiny_path, tmp_path)


def test_a_kind_that_wants_more_than_inputs_is_refused(
    tiny_path: Path, written: Callable[[str], Path]
) -> None:
    with pytest.raises(DataError, match="cannot be run with its adapter on") as caught:
        load_pair(tiny_path, written("POLY"))
    assert "task_ids" in caught.value.given


@pytest.mark.parametrize(
    ("kind", "part"),
    [("ADALORA", "lora_E"), ("VERA", "vera_lambda_b"), ("LOHA", "hada_w1_a"), ("DORA", "lora_B")],
)
def test_what_is_saved_must_be_there(
    tiny_path: Path, written: Callable[[str], Path], tmp_path: Path, kind: str, part: str
) -> None:
    """Twin of what PEFT makes anew: a tensor that training decides may not be absent."""
    import shutil

    copy = Path(shutil.copytree(written(kind), tmp_path / "copy"))
    tensors = load_file(copy / "adapter_model.safetensors")
    del tensors[next(name for name in tensors if part in name)]
    save_file(tensors, copy / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MismatchError, match=f"its file lacks .*{part}"):
        load_pair(tiny_path, copy)
