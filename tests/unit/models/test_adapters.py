"""An adapter fits exactly, or it is refused: never half loaded, never 'nothing changed'."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.builders import build_adapter, build_llava, edit_json, edit_tensors

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.adapters import is_adapter
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode

Tensors = dict[str, torch.Tensor]
_LAST = "language_model.layers.3.mlp.up_proj"


def _weights(folder: Path) -> Path:
    return folder / "adapter_model.safetensors"


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


def test_what_is_an_adapter(tiny_path: Path, tiny_adapter_path: Path, tmp_path: Path) -> None:
    assert is_adapter(tiny_adapter_path)
    assert not is_adapter(tiny_path)
    assert not is_adapter(tmp_path)
    both = Path(shutil.copytree(tiny_path, tmp_path / "both"))
    shutil.copy(tiny_adapter_path / "adapter_config.json", both)
    assert not is_adapter(both)  # a full model, merged, that kept the adapter's configuration


# --- files that cannot be read


def test_a_model_given_as_an_adapter(tiny_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not an adapter: it holds no adapter_config\.json"):
        load_model(tiny_path, adapter=tiny_path)


def test_an_adapter_without_weights(tiny_path: Path, copied_adapter: Path) -> None:
    _weights(copied_adapter).rename(copied_adapter / "adapter_model.bin")
    with pytest.raises(DataError, match="holds no weights") as caught:
        load_pair(tiny_path, copied_adapter)
    assert "can run code" in caught.value.allowed
    assert "PEFT's save_pretrained" in caught.value.remedy


def test_an_adapter_cut_short(tiny_path: Path, copied_adapter: Path) -> None:
    file = _weights(copied_adapter)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"adapter_model\.safetensors of .* is damaged"):
        load_pair(tiny_path, copied_adapter)


def test_a_broken_configuration(tiny_path: Path, copied_adapter: Path) -> None:
    (copied_adapter / "adapter_config.json").write_text("{")
    with pytest.raises(DataError, match=r"adapter_config\.json of .* is not valid JSON"):
        load_pair(tiny_path, copied_adapter)


@pytest.mark.parametrize("kind", ["UNHEARD_OF", None, 7])
def test_an_unknown_type(tiny_path: Path, copied_adapter: Path, kind: Any) -> None:
    edit_json(copied_adapter / "adapter_config.json", peft_type=kind)
    with pytest.raises(DataError, match=r"adapter_config\.json of .* cannot be used"):
        load_pair(tiny_path, copied_adapter)


def test_an_adapter_that_adds_positions(tiny_path: Path, copied_adapter: Path) -> None:
    from peft import PromptTuningConfig

    options = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 2}
    PromptTuningConfig(**options).save_pretrained(copied_adapter)
    with pytest.raises(DataError, match="PROMPT_TUNING, which adds positions") as caught:
        load_pair(tiny_path, copied_adapter)
    assert "LoRA" in caught.value.allowed


def test_without_peft(
    tiny_path: Path, tiny_adapter_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(DataError, match="need the package peft") as caught:
        load_pair(tiny_path, tiny_adapter_path)
    assert caught.value.remedy == "pip install 'shiftlens[peft]'"


# --- adapters of another model


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"hidden_size": 64}, "size mismatch"),
        ({"intermediate_size": 48}, "size mismatch"),
        ({"num_hidden_layers": 5}, r"no place for .*layers\.4\."),
        ({"num_hidden_layers": 3}, r"its file lacks .*layers\.3\."),
    ],
)
def test_an_adapter_of_another_base(
    tiny_path: Path, tmp_path: Path, options: dict[str, Any], reason: str
) -> None:
    foreign = build_adapter(build_llava(tmp_path / "base", **options), tmp_path / "adapter")
    with pytest.raises(MismatchError, match=f"does not fit .*: {reason}") as caught:
        load_pair(tiny_path, foreign)
    assert str(tiny_path) in caught.value.given
    assert str(foreign) in caught.value.given
    assert "base_model_name_or_path" in caught.value.remedy


def test_an_adapter_of_another_family(qwen_path: Path, tiny_path: Path, tmp_path: Path) -> None:
    """Both call their decoder ``language_model``: names fit, shapes or tensors do not."""
    pattern = r".*visual.*\.(qkv|proj|fc1|fc2)"
    foreign = build_adapter(qwen_path, tmp_path / "adapter", target_modules=pattern)
    with pytest.raises(MismatchError, match="does not fit"):
        load_pair(tiny_path, foreign)


def _rename(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[name.replace("language_model", "text_model")] = tensors.pop(name)


def _rename_one(tensors: Tensors) -> None:
    (name,) = (name for name in tensors if f"{_LAST}.lora_B" in name)
    tensors[name.replace("up_proj", "upper_proj")] = tensors.pop(name)


def _add(tensors: Tensors) -> None:
    name = next(iter(tensors))
    tensors[name.replace("layers.0", "layers.9")] = tensors[name].clone()


def _drop_one(tensors: Tensors) -> None:
    (name,) = (name for name in tensors if f"{_LAST}.lora_B" in name)
    del tensors[name]


def _drop_all(tensors: Tensors) -> None:
    tensors.clear()
    tensors["unrelated"] = torch.zeros(1)


def _widen(tensors: Tensors) -> None:
    (name,) = (name for name in tensors if f"{_LAST}.lora_B" in name)
    tensors[name] = torch.cat([tensors[name], tensors[name]], dim=1)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_rename, "no place for"),
        (_rename_one, "no place for .*upper_proj"),
        (_add, r"no place for .*layers\.9"),
        (_drop_one, rf"its file lacks .*{_LAST}"),
        (_drop_all, "no place for unrelated"),
        (_widen, rf"size mismatch .*{_LAST}"),
    ],
)
def test_every_tensor_is_accounted_for(
    tiny_path: Path, copied_adapter: Path, damage: Callable[[Tensors], None], reason: str
) -> None:
    edit_tensors(_weights(copied_adapter), damage)
    with pytest.raises(MismatchError, match=f"does not fit .*: {reason}"):
        load_pair(tiny_path, copied_adapter)


def test_a_file_without_any_tensor(tiny_path: Path, copied_adapter: Path) -> None:
    edit_tensors(_weights(copied_adapter), lambda tensors: tensors.clear())
    with pytest.raises(MismatchError, match=r"does not fit .*: its file lacks .* more"):
        load_pair(tiny_path, copied_adapter)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module", "not found"),
        (["q_proj", "gate_proj"], "gate_proj|no place for"),
        (r".*(q_proj|k_proj|v_proj|o_proj|up_proj|down_proj)", "its file lacks .*vision_tower"),
        (
            r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|up_proj|gate_proj|down_proj)",
            "its file lacks .*gate_proj",
        ),
    ],
)
def test_modules_that_the_configuration_asks_for_are_all_filled(
    tiny_path: Path, copied_adapter: Path, target: Any, reason: str
) -> None:
    edit_json(copied_adapter / "adapter_config.json", target_modules=target)
    with pytest.raises(MismatchError, match=f"does not fit .*: .*({reason})"):
        load_pair(tiny_path, copied_adapter)


@pytest.mark.parametrize("rank", [2, 8])
def test_another_rank_than_the_file_has(tiny_path: Path, copied_adapter: Path, rank: int) -> None:
    edit_json(copied_adapter / "adapter_config.json", r=rank)
    with pytest.raises(MismatchError, match=r"does not fit .*: size mismatch"):
        load_pair(tiny_path, copied_adapter)


# --- adapters that change nothing, or too much


def _untrained(tensors: Tensors) -> None:
    for name, tensor in tensors.items():
        if ".lora_B." in name:
            tensor.zero_()


def test_an_adapter_that_was_never_trained(tiny_path: Path, copied_adapter: Path) -> None:
    """PEFT begins with second factors of zero: such an adapter is the base itself."""
    edit_tensors(_weights(copied_adapter), _untrained)
    with pytest.raises(MismatchError, match="changes nothing") as caught:
        load_pair(tiny_path, copied_adapter)
    assert str(copied_adapter) in caught.value.given
    assert "after training" in caught.value.remedy


def test_an_untrained_adapter_with_a_module_of_its_own_is_one(
    tiny_path: Path, tmp_path: Path, questions: list[Sample]
) -> None:
    path = build_adapter(tiny_path, tmp_path / "head", modules_to_save=["lm_head"])
    edit_tensors(_weights(path), _untrained)
    base, tuned = load_pair(tiny_path, path)
    assert not _logits(base, questions).equal(_logits(tuned, questions))


def test_one_trained_module_is_enough(
    tiny_path: Path, copied_adapter: Path, questions: list[Sample]
) -> None:
    def one(tensors: Tensors) -> None:
        (name,) = (name for name in tensors if f"{_LAST}.lora_B" in name)
        kept = tensors[name].clone()
        _untrained(tensors)
        tensors[name] = kept

    edit_tensors(_weights(copied_adapter), one)
    base, tuned = load_pair(tiny_path, copied_adapter)
    assert not _logits(base, questions).equal(_logits(tuned, questions))


def test_an_adapter_of_the_vision_tower_alone_is_one(
    tiny_path: Path, tmp_path: Path, pictures: list[Path]
) -> None:
    path = build_adapter(tiny_path, tmp_path / "eyes", target_modules=r".*vision_tower.*\.fc1")
    base, tuned = load_pair(tiny_path, path)
    blind, seeing = [Sample("a", "what is this ?")], [Sample("b", "what ?", (str(pictures[0]),))]
    assert _logits(base, blind).equal(_logits(tuned, blind))
    assert not _logits(base, seeing).equal(_logits(tuned, seeing))


def test_an_adapter_that_overwrites_the_base(tiny_path: Path, tmp_path: Path) -> None:
    """Trained biases of the base itself cannot be switched off."""
    pattern = r".*vision_tower.*\.q_proj"
    path = build_adapter(tiny_path, tmp_path / "bias", target_modules=pattern, bias="lora_only")
    with pytest.raises(MismatchError, match=r"overwrites tensors of .*q_proj.*bias") as caught:
        load_pair(tiny_path, path)
    assert "merge" in caught.value.remedy


def test_a_file_that_brings_a_tensor_of_the_base(tiny_path: Path, copied_adapter: Path) -> None:
    head = next(t for n, t in load_file(tiny_path / "model.safetensors").items() if "lm_head" in n)
    edit_tensors(
        _weights(copied_adapter),
        lambda tensors: tensors.update({"base_model.model.lm_head.weight": head.clone()}),
    )
    with pytest.raises(MismatchError, match=r"overwrites tensors of .*lm_head\.weight"):
        load_pair(tiny_path, copied_adapter)


# --- what fits


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"lora_bias": True, "target_modules": r".*vision_tower.*\.(fc1|fc2)"},
        {"modules_to_save": ["lm_head"]},
        {"modules_to_save": ["multi_modal_projector"]},
        {"target_modules": ["lm_head", "q_proj"]},
        {"target_modules": ["embed_tokens", "v_proj"]},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 32}},
        {"layers_to_transform": [1, 2], "target_modules": ["q_proj"], "layers_pattern": "layers"},
    ],
    ids=lambda options: "-".join(map(str, next(iter(options.items())))),
)
def test_many_kinds_of_lora_switch_and_leave_the_base_alone(
    tiny: Model, tiny_path: Path, tmp_path: Path, questions: list[Sample], options: dict[str, Any]
) -> None:
    base, tuned = load_pair(tiny_path, build_adapter(tiny_path, tmp_path / "adapter", **options))
    alone = _logits(tiny, questions)
    first, changed, again = (_logits(model, questions) for model in (base, tuned, base))
    assert first.allclose(alone, rtol=0, atol=1e-4)
    assert again.equal(first)
    assert not changed.allclose(alone, rtol=0, atol=1e-2)
    assert base.address == tuned.address == tiny.address
    assert not any(tensor.requires_grad for tensor in _adapter_tensors(tuned))


def test_another_kind_than_lora(
    tiny: Model, tiny_path: Path, ia3_path: Path, questions: list[Sample]
) -> None:
    base, tuned = load_pair(tiny_path, ia3_path)
    assert _logits(base, questions).allclose(_logits(tiny, questions), rtol=0, atol=1e-4)
    assert not _logits(tuned, questions).allclose(_logits(base, questions), rtol=0, atol=1e-2)


def _adapter_tensors(model: Model) -> list[torch.Tensor]:
    found = [tensor for name, tensor in model.hf.named_parameters() if "lora_" in name]
    assert found
    return found
