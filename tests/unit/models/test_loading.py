"""Loading: what cannot be a model is refused with what to do; what can is proven readable."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import edit_json, edit_tensors

from shiftlens.core.errors import DataError, MismatchError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model, load_pair
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode


@pytest.fixture(scope="module")
def tiny_pair(tiny_path: Path, tiny_adapter_path: Path) -> tuple[Model, Model]:
    return load_pair(tiny_path, tiny_adapter_path)


def _logits(model: Model, samples: list[Sample]) -> torch.Tensor:
    return forward(model, encode(model, samples)).logits


# --- what is refused


@pytest.mark.parametrize("name", ["/no/where", "nobody/no-such-model"])
def test_an_unknown_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=f"no model at {name}") as caught:
        load_model(name)
    assert caught.value.remedy


def test_an_unknown_partner(tiny_path: Path) -> None:
    with pytest.raises(DataError, match="no model at /no/where"):
        load_pair(tiny_path, "/no/where")
    with pytest.raises(DataError, match="no model at /no/where"):
        load_model(tiny_path, adapter="/no/where")


def test_a_folder_without_weights(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(DataError, match="holds no weights") as caught:
        load_model(copied)
    assert str(copied) in caught.value.given
    assert "save_pretrained" in caught.value.remedy


def test_weights_cut_short(copied: Path) -> None:
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"model\.safetensors of .*copied is damaged") as caught:
        load_model(copied)
    assert "again" in caught.value.remedy


def test_a_folder_without_a_configuration(copied: Path) -> None:
    (copied / "config.json").unlink()
    with pytest.raises(DataError, match=r"it holds no config\.json") as caught:
        load_model(copied)
    assert "save_pretrained" in caught.value.allowed


@pytest.mark.parametrize("kind", ["llama", "bert", "unheard_of", None])
def test_a_model_of_another_kind(copied: Path, kind: str | None) -> None:
    edit_json(copied / "config.json", model_type=kind)
    with pytest.raises(DataError, match="not a model of pictures and text") as caught:
        load_model(copied)
    assert repr(str(kind)) in caught.value.given
    assert "multimodal" in caught.value.remedy


def test_an_encoder_decoder_model(copied: Path) -> None:
    edit_json(copied / "config.json", is_encoder_decoder=True)
    with pytest.raises(DataError, match="is an encoder-decoder model"):
        load_model(copied)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (7, "text_config"),
        ({"model_type": "unheard_of"}, "unheard_of"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"hidden_size": 32, "num_attention_heads": 5}, "heads"),
    ],
)
def test_a_configuration_that_makes_no_sense(copied: Path, text: Any, reason: str) -> None:
    edit_json(copied / "config.json", text_config=text)
    with pytest.raises(DataError, match=rf"config\.json of .*copied cannot be used \(.*{reason}"):
        load_model(copied)


def test_an_adapter_given_as_a_model(tiny_adapter_path: Path, tiny_path: Path) -> None:
    with pytest.raises(DataError, match="is an adapter, not a model") as caught:
        load_model(tiny_adapter_path)
    assert f"load_model({str(tiny_path)!r}, adapter=" in caught.value.remedy
    with pytest.raises(DataError, match="is an adapter, not a model"):
        load_pair(tiny_adapter_path, tiny_path)


def test_a_tensor_that_the_file_lacks_is_not_made_up(copied: Path) -> None:
    name = "model.language_model.layers.2.mlp.up_proj.weight"
    found: list[str] = []

    def drop(tensors: dict[str, torch.Tensor]) -> None:
        found.extend(one for one in tensors if one.endswith("layers.2.mlp.up_proj.weight"))
        del tensors[found[0]]

    edit_tensors(copied / "model.safetensors", drop)
    with pytest.raises(MismatchError, match=r"lack 1 tensor\(s\): " + name.replace(".", r"\.")):
        load_model(copied)


def test_a_tensor_of_another_shape_is_not_made_up(copied: Path) -> None:
    def cut(tensors: dict[str, torch.Tensor]) -> None:
        (name,) = (one for one in tensors if one.endswith("lm_head.weight"))
        tensors[name] = tensors[name][:-1].contiguous()

    edit_tensors(copied / "model.safetensors", cut)
    with pytest.raises(MismatchError, match=r"lm_head|fit together"):
        load_model(copied)


def test_fewer_layers_than_the_configuration_says(copied: Path) -> None:
    text = json.loads((copied / "config.json").read_text())["text_config"]
    edit_json(copied / "config.json", text_config={**text, "num_hidden_layers": 5})
    with pytest.raises(MismatchError, match=r"lack \d+ tensor\(s\): .*layers\.4\."):
        load_model(copied)


def test_a_device_that_is_not_there(tiny_path: Path) -> None:
    for device in ("toaster", "cuda:99"):
        with pytest.raises(DataError, match=f"device {device} cannot be used") as caught:
            load_model(tiny_path, device=device)
        assert "cpu" in caught.value.allowed


@pytest.mark.parametrize("dtype", ["float33", "Tensor", "nn"])
def test_a_type_that_is_none(tiny_path: Path, dtype: str) -> None:
    with pytest.raises(DataError, match=f"unknown dtype '{dtype}'"):
        load_model(tiny_path, dtype=dtype)


# --- what is loaded


def test_a_loaded_model_says_what_it_is(tiny: Model, tiny_path: Path) -> None:
    assert (tiny.name, tiny.label, tiny.adapter) == (str(tiny_path), "base", None)
    assert tiny.origin.directory == tiny_path
    assert not tiny.hf.training
    assert tiny.dtype == torch.float32
    assert tiny.device == torch.device("cpu")


def test_options_are_obeyed(tiny_path: Path, tiny: Model) -> None:
    other = load_model(tiny_path, dtype="bfloat16", attention="sdpa", label="mine", device="cpu")
    assert other.label == "mine"
    assert other.dtype == torch.bfloat16
    assert other.hf.config._attn_implementation == "sdpa"
    assert tiny.hf.config._attn_implementation == "eager"  # tiny, on a CPU
    assert load_model(tiny_path, dtype=torch.float64).dtype == torch.float64


def test_auto_keeps_the_type_of_the_files(copied: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.bfloat16() for name, tensor in tensors.items()})

    edit_tensors(copied / "model.safetensors", halve)
    edit_json(copied / "config.json", dtype="bfloat16")
    assert load_model(copied, dtype="auto").dtype == torch.bfloat16
    assert load_model(copied).dtype == torch.float32


def test_loading_is_quiet_and_gives_the_noise_back(
    tiny_path: Path, tiny_adapter_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_pair(tiny_path, tiny_adapter_path)
    with pytest.raises(DataError):
        load_model(tiny_adapter_path)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert "".join(capfd.readouterr()) == ""


# --- pairs on one module


def test_a_pair_with_an_adapter_shares_one_module(tiny_pair: tuple[Model, Model]) -> None:
    base, tuned = tiny_pair
    assert base.hf is tuned.hf
    assert base.tenancy is tuned.tenancy
    assert (base.label, tuned.label) == ("base", "tuned")
    assert (base.adapter_on, tuned.adapter_on) == (False, True)
    assert base.adapter is None
    assert tuned.adapter == str(tuned.origin.adapter)


def test_active_switches_and_the_base_is_the_base(
    tiny_pair: tuple[Model, Model], tiny: Model, questions: list[Sample]
) -> None:
    base, tuned = tiny_pair
    alone = _logits(tiny, questions)
    seen = [_logits(model, questions) for model in (base, tuned, base, tuned)]
    assert seen[0].allclose(alone, rtol=0, atol=1e-4)
    assert seen[2].equal(seen[0])
    assert seen[3].equal(seen[1])
    assert not seen[1].allclose(seen[0], atol=1e-2)


def test_an_adapter_alone_is_the_tuned_of_the_pair(
    tiny_pair: tuple[Model, Model],
    tiny_path: Path,
    tiny_adapter_path: Path,
    questions: list[Sample],
) -> None:
    alone = load_model(tiny_path, adapter=tiny_adapter_path)
    assert alone.label == "tuned"
    ours, theirs = _logits(alone, questions), _logits(tiny_pair[1], questions)
    assert ours.allclose(theirs, rtol=0, atol=1e-4)
    assert alone.identity == tiny_pair[1].identity


def test_the_adapter_changes_what_a_merged_copy_changes(
    tiny_pair: tuple[Model, Model],
    tiny_path: Path,
    tiny_adapter_path: Path,
    tmp_path: Path,
    questions: list[Sample],
) -> None:
    """Adapter on, and the same adapter multiplied into the weights by hand, agree."""
    from safetensors.torch import load_file

    merged = Path(shutil.copytree(tiny_path, tmp_path / "merged"))
    factors = load_file(tiny_adapter_path / "adapter_model.safetensors")

    def merge(tensors: dict[str, torch.Tensor]) -> None:
        for key, down in factors.items():
            if key.endswith("lora_A.weight"):
                up = factors[key.replace("lora_A", "lora_B")]
                tail = key.partition("layers.")[2].replace("lora_A.weight", "weight")
                (name,) = (n for n in tensors if "language" in n and n.endswith(f"layers.{tail}"))
                tensors[name] += 8 / 4 * up @ down  # lora_alpha / r

    edit_tensors(merged / "model.safetensors", merge)
    base, tuned = load_pair(tiny_path, merged)
    assert base.hf is not tuned.hf
    by_hand, by_adapter = _logits(tuned, questions), _logits(tiny_pair[1], questions)
    scale = float(by_hand.abs().max())
    assert by_hand.allclose(by_adapter, rtol=0, atol=1e-3 * scale)
    assert not by_hand.allclose(_logits(base, questions), rtol=0, atol=1e-2 * scale)


# --- pairs of two full models


def test_two_full_models_are_two_modules(copied: Path, tiny_path: Path) -> None:
    for file in (*copied.glob("*token*"), *copied.glob("*process*"), *copied.glob("*.jinja")):
        file.unlink()  # as a trainer that saves the weights alone

    def move(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            tensor.mul_(1.1)

    edit_tensors(copied / "model.safetensors", move)
    base, tuned = load_pair(tiny_path, copied)
    assert base.hf is not tuned.hf
    assert base.tenancy is not tuned.tenancy
    assert tuned.processor is base.processor
    assert (base.label, tuned.label) == ("base", "tuned")
    assert (tuned.adapter, tuned.adapter_on) == (None, False)
    assert tuned.identity["weights"] != base.identity["weights"]
