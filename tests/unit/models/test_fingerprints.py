"""A fingerprint changes when, and only when, the numbers do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import edit_json

from shiftlens.models import fingerprints
from shiftlens.models.fingerprints import (
    fingerprint_adapter_config,
    fingerprint_files,
    fingerprint_settings,
    fingerprint_tensors,
)
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(bytes(content))


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the tiny size count as large ones."""
    monkeypatch.setattr(fingerprints, "_WHOLE", 1000)
    monkeypatch.setattr(fingerprints, "_BLOCK", 500)


# --- files


def test_moved_files_are_the_same(tiny_path: Path, copied: Path) -> None:
    assert fingerprint_files(copied) == fingerprint_files(tiny_path)
    edit_json(copied / "config.json", anything=1)  # other files are not weights
    assert fingerprint_files(copied) == fingerprint_files(tiny_path)
    assert fingerprint_files(copied).startswith("sha256:")


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0], ids=["header", "middle", "end"])
def test_one_flipped_bit_is_seen(tiny_path: Path, copied: Path, part: float) -> None:
    file = copied / "model.safetensors"
    _flip(file, int(part * (file.stat().st_size - 1)))
    assert fingerprint_files(copied) != fingerprint_files(tiny_path)


def test_one_more_file_is_seen(tiny_path: Path, copied: Path) -> None:
    shutil.copy(copied / "model.safetensors", copied / "more.safetensors")
    assert fingerprint_files(copied) != fingerprint_files(tiny_path)


@pytest.mark.usefixtures("sampled")
def test_large_files_are_sampled(tiny_path: Path, copied: Path) -> None:
    file, ours = copied / "model.safetensors", fingerprint_files(tiny_path)
    assert ours.startswith("sampled:")
    assert fingerprint_files(copied) == ours
    original = file.read_bytes()
    for at in (10, len(original) - 1):  # the header and the ends are always among the samples
        _flip(file, at)
        assert fingerprint_files(copied) != ours
        file.write_bytes(original)
    assert fingerprint_files(copied) == ours
    file.write_bytes(original + b"\0")
    assert fingerprint_files(copied) != ours


@pytest.mark.usefixtures("sampled")
def test_twin_a_single_bit_of_a_large_file_may_escape(tiny_path: Path, copied: Path) -> None:
    """Why the two kinds are told apart: this one is a promise about fine-tunes, not about bits."""
    file, ours = copied / "model.safetensors", fingerprint_files(tiny_path)
    seen = []
    for at in range(100_000, 104_000, 400):
        _flip(file, at)
        seen.append(fingerprint_files(copied) != ours)
        _flip(file, at)
    assert not all(seen)


# --- tensors


def _tensors() -> dict[str, torch.Tensor]:
    return {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2, dtype=torch.bfloat16)}


def test_the_order_and_the_layout_of_tensors_do_not_matter() -> None:
    ours = fingerprint_tensors(_tensors())
    assert fingerprint_tensors(dict(sorted(_tensors().items()))) == ours
    turned = _tensors() | {"b": _tensors()["b"].T.contiguous().T}
    assert not turned["b"].is_contiguous()
    assert fingerprint_tensors(turned) == ours
    learning = _tensors() | {"b": torch.nn.Parameter(_tensors()["b"])}
    assert fingerprint_tensors(learning) == ours


@pytest.mark.parametrize(
    "change",
    [
        {"b": torch.arange(6.0).reshape(3, 2)},
        {"b": torch.arange(6.0).reshape(2, 3).double()},
        {"b": torch.arange(6.0).reshape(2, 3) + 1e-6},
        {"a": torch.ones(2, dtype=torch.bfloat16).view(torch.float16)},
        {"c": torch.zeros(1)},
        {"c": torch.tensor(0.0)},
    ],
    ids=["shape", "type", "value", "type of the same bytes", "name", "scalar"],
)
def test_a_change_of_a_tensor_is_seen(change: dict[str, torch.Tensor]) -> None:
    assert fingerprint_tensors(_tensors() | change) != fingerprint_tensors(_tensors())


def test_large_tensors_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_SAMPLED", 10)
    tensor = torch.arange(1000.0)
    ours = fingerprint_tensors({"a": tensor})
    assert fingerprint_tensors({"a": tensor * 1.001}) != ours
    hidden = tensor.clone()
    hidden[7] += 1
    assert fingerprint_tensors({"a": hidden}) == ours


# --- settings


class _Settings:
    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def to_dict(self) -> dict[str, Any]:
        return self._fields


@pytest.mark.parametrize(
    "field", ["_name_or_path", "transformers_version", "dtype", "torch_dtype", "_attn_x"]
)
def test_settings_about_files_do_not_matter(field: str) -> None:
    plain = {"text": {"width": 3}, "eos": 2}
    ours = fingerprint_settings(_Settings(**plain))
    assert fingerprint_settings(_Settings(**plain, **{field: "x"})) == ours
    nested = {"text": {"width": 3, field: "x"}, "eos": 2}
    assert fingerprint_settings(_Settings(**nested)) == ours


@pytest.mark.parametrize(
    "fields", [{"eos": 3}, {"eos": [2]}, {"eos": None}, {"text": {"width": 4}}, {"more": 0}]
)
def test_settings_about_numbers_do(fields: dict[str, Any]) -> None:
    plain = {"text": {"width": 3}, "eos": 2}
    ours = fingerprint_settings(_Settings(**plain))
    assert fingerprint_settings(_Settings(**(plain | fields))) != ours
    assert fingerprint_settings(None) != ours


# --- the identity of a model


def _differing(ours: Model, theirs: Model) -> set[str]:
    assert ours.identity.keys() == theirs.identity.keys()
    return {key for key, value in ours.identity.items() if theirs.identity[key] != value}


def test_a_moved_model_is_the_same_model(tiny: Model, copied: Path) -> None:
    moved = load_model(copied, label="another", attention="sdpa")
    assert moved.identity == tiny.identity
    assert moved.provenance["model"] != tiny.provenance["model"]


def test_other_ends_are_another_model(tiny: Model, copied: Path) -> None:
    edit_json(copied / "generation_config.json", eos_token_id=[2, 7])
    assert _differing(tiny, load_model(copied)) == {"generation"}


def test_suppressed_tokens_are_another_model(tiny: Model, copied: Path) -> None:
    edit_json(copied / "generation_config.json", suppress_tokens=[7])
    assert _differing(tiny, load_model(copied)) == {"generation"}


def test_other_weights_are_another_model(tiny: Model, copied: Path) -> None:
    _flip(copied / "model.safetensors", -1)
    assert _differing(tiny, load_model(copied)) == {"weights"}


def test_another_template_is_another_model(tiny: Model, copied: Path) -> None:
    file = copied / "chat_template.jinja"
    file.write_text(file.read_text().replace("assistant", "a man"))
    assert _differing(tiny, load_model(copied)) == {"template"}


def test_another_rotary_base_is_another_model(tiny: Model, copied: Path) -> None:
    text = json.loads((copied / "config.json").read_text())["text_config"]
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 50.0}
    edit_json(copied / "config.json", text_config=text)
    assert _differing(tiny, load_model(copied)) == {"config"}


def test_another_type_is_another_model(tiny: Model, tiny_path: Path) -> None:
    assert _differing(tiny, load_model(tiny_path, dtype="bfloat16")) == {"dtype"}


def test_a_pair_differs_by_its_adapter_alone(
    tiny: Model, tiny_path: Path, tiny_adapter_path: Path
) -> None:
    base, tuned = load_pair(tiny_path, tiny_adapter_path)
    assert base.identity == tiny.identity
    assert _differing(base, tuned) == {"adapter_weights", "adapter_config"}
    assert base.identity["adapter_weights"] is base.identity["adapter_config"] is None


def test_another_adapter_is_another_model(
    tiny_path: Path, tiny_adapter_path: Path, copied_adapter: Path
) -> None:
    moved = load_model(tiny_path, adapter=copied_adapter)
    assert _differing(load_model(tiny_path, adapter=tiny_adapter_path), moved) == set()
    _flip(copied_adapter / "adapter_model.safetensors", -1)
    assert _differing(moved, load_model(tiny_path, adapter=copied_adapter)) == {"adapter_weights"}


@pytest.mark.parametrize("fields", [{"lora_alpha": 16}, {"use_rslora": True}])
def test_the_scale_of_an_adapter_belongs_to_its_identity(
    tiny_path: Path, tiny_adapter_path: Path, copied_adapter: Path, fields: dict[str, Any]
) -> None:
    """The same tensors under another scale are another change of the model."""
    edit_json(copied_adapter / "adapter_config.json", **fields)
    ours = load_model(tiny_path, adapter=tiny_adapter_path)
    assert _differing(ours, load_model(tiny_path, adapter=copied_adapter)) == {"adapter_config"}


def test_what_an_adapter_says_about_its_training_does_not_matter(
    tiny_adapter_path: Path, copied_adapter: Path
) -> None:
    ours = fingerprint_adapter_config(tiny_adapter_path)
    file = copied_adapter / "adapter_config.json"
    edit_json(file, lora_dropout=0.1, base_model_name_or_path="x", peft_version="9", new=False)
    assert fingerprint_adapter_config(copied_adapter) == ours
    edit_json(file, target_modules=["q_proj", "k_proj"])
    first = fingerprint_adapter_config(copied_adapter)
    edit_json(file, target_modules=["k_proj", "q_proj"])
    assert fingerprint_adapter_config(copied_adapter) == first != ours
