"""A model is looked into without its weights; one that cannot be used is a result with reasons."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.builders import build_idefics3, build_tokenizer, edit_json

from shiftlens.core.errors import DataError
from shiftlens.models.inspecting import inspect
from shiftlens.models.inspecting.inspection import Patches
from shiftlens.models.model import Model


def test_what_is_found_is_what_loading_finds(tiny: Model, tiny_path: Path) -> None:
    found = inspect(tiny_path)
    assert found.usable
    assert (found.reasons, found.limits, found.additions) == ((), (), ())
    assert (found.family, found.kind) == ("llava", type(tiny.hf).__name__)
    assert found.address == tiny.address
    assert found.parameters == sum(p.numel() for p in tiny.hf.parameters())
    assert found.vision_blocks == tiny.hf.config.vision_config.num_hidden_layers
    assert found.logits is not None
    assert (found.logits.tied, found.logits.masked) == (False, False)


def test_no_weight_is_read(copied: Path) -> None:
    whole = inspect(copied)
    for file in copied.glob("*.safetensors"):
        file.write_bytes(b"damaged")
    assert inspect(copied) == whole
    for file in copied.glob("*.safetensors"):
        file.unlink()
    (limit,) = inspect(copied).limits
    assert "holds no weights" in limit


def test_it_is_json(tiny_path: Path) -> None:
    told = json.loads(json.dumps(inspect(tiny_path).to_dict()))
    assert told["usable"] is True
    assert told["address"]["blocks_path"] == "model.language_model.layers"
    assert set(told) == {"usable", *asdict(inspect(tiny_path))}


def test_tokens_and_patches_of_one_grid(tiny_path: Path) -> None:
    found = inspect(tiny_path)
    assert found.tokens is not None
    assert found.patches is not None
    assert (found.tokens.picture, found.tokens.template) == ("<image>", True)
    assert (found.tokens.begin, found.tokens.end) == ("", "")
    assert found.patches.kind == "fixed"
    assert found.patches.grid is not None
    assert found.patches.grid[0] * found.patches.grid[1] == found.patches.tokens


def test_tokens_and_patches_of_a_grid_of_its_own(qwen_path: Path) -> None:
    found = inspect(qwen_path)
    assert found.tokens is not None
    assert found.patches is not None
    assert (found.tokens.begin, found.tokens.end) == ("<|vision_start|>", "<|vision_end|>")
    assert found.patches.kind == "dynamic"


def test_patches_in_tiles(tmp_path: Path) -> None:
    path = build_idefics3(tmp_path / "idefics3")
    settings = json.loads((path / "processor_config.json").read_text())
    found = inspect(path)
    assert found.usable, found
    assert found.patches is not None
    split = settings["image_processor"].get("do_image_splitting")
    assert found.patches.kind == ("tiles" if split else "fixed")


def test_a_place_for_system_prompts(copied: Path) -> None:
    found = inspect(copied)
    assert found.tokens is not None
    assert found.tokens.system
    template = (copied / "chat_template.jinja").read_text()
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    (copied / "chat_template.jinja").write_text(refusing + template)
    again = inspect(copied)
    assert again.tokens is not None
    assert not again.tokens.system
    assert again.usable


def test_reasoning_marks(copied: Path) -> None:
    processor = build_tokenizer(("<image>", "<think>", "</think>"))
    processor.save_pretrained(copied)
    found = inspect(copied)
    assert found.tokens is not None
    assert found.tokens.reasoning == ("<think>", "</think>")


def test_tied_and_scaled_logits(copied: Path) -> None:
    def change(**fields: Any) -> None:
        config = json.loads((copied / "config.json").read_text())
        config["text_config"].update(fields)
        (copied / "config.json").write_text(json.dumps(config))

    edit_json(copied / "config.json", tie_word_embeddings=True)
    change(final_logit_softcapping=30.0, attn_logit_softcapping=50.0, tie_word_embeddings=True)
    found = inspect(copied)
    assert found.logits is not None
    assert found.logits.tied
    assert found.logits.numbers == {"final_logit_softcapping": 30.0}


def test_additions_are_told_by_what_a_decoder_takes(tmp_path: Path) -> None:
    from shiftlens.models.address import find_address
    from shiftlens.models.inspecting.additions import additions_of
    from shiftlens.models.inspecting.sweeping import _build

    for name, part in (
        ("qwen3_vl", "after the first 3 blocks, outside of them (DeepStack)"),
        ("mllama", "cross-attention in blocks 3, 8,"),
        ("gemma4", "embeddings of the tokens of its own"),
    ):
        hf = _build(name, mended=False)
        (said,) = additions_of(hf, find_address(hf))
        assert part in said
    hf = _build("llava", mended=False)
    assert additions_of(hf, find_address(hf)) == ()


# --- models that cannot be used


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model_type": "bert"}, "not a model that reads pictures and writes text"),
        ({"model_type": "florence2"}, "encoder-decoder model"),
        ({"model_type": "nowhere"}, "transformers does not know its family (model_type 'nowhere')"),
        (
            {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}},
            "needs code of its own, which is never run",
        ),
        ({"text_config": {"model_type": "llama", "hidden_size": "wide"}}, "it cannot be built"),
        ({"text_config": {"model_type": "unheard"}}, "it cannot be built"),
    ],
)
def test_reasons(copied: Path, fields: dict[str, Any], reason: str) -> None:
    if fields.get("model_type") == "florence2":
        (copied / "config.json").write_text("{}")
    edit_json(copied / "config.json", **fields)
    found = inspect(copied)
    assert not found.usable
    assert any(reason in one for one in found.reasons), found.reasons
    assert found.address is None


def test_pickled_weights(copied: Path) -> None:
    (copied / "pytorch_model.bin").write_bytes(b"")
    assert inspect(copied).usable  # beside safetensors they do not matter
    for file in copied.glob("*.safetensors"):
        file.unlink()
    assert "pickled" in inspect(copied).reasons[0]


def test_a_processor_that_cannot_be_loaded(copied: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (copied / file).unlink()
    found = inspect(copied)
    assert found.address is not None  # what its modules tell is told
    assert found.tokens is None
    assert any("the processor of" in reason for reason in found.reasons)


def test_a_processor_that_fails_on_pictures_is_a_limit(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shiftlens.models.inspecting import speaking

    def broken(*_: Any) -> Any:
        raise KeyError("pixel_values")

    monkeypatch.setattr(speaking, "process", broken)
    found = inspect(copied)
    assert found.usable
    assert found.patches is None
    assert found.limits == ("its processor cannot prepare a picture (KeyError: 'pixel_values')",)


def test_quantised_weights_are_a_limit(copied: Path) -> None:
    edit_json(copied / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    found = inspect(copied)
    assert found.quantised == "bitsandbytes"
    assert "packed (bitsandbytes)" in found.limits[0]


@pytest.mark.parametrize("name", ["/no/such/place", "./nothing", "a/b/c"])
def test_a_model_that_is_not_there(name: str) -> None:
    with pytest.raises(DataError, match=r"no model at .* \(there is no such directory\)"):
        inspect(name)


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        inspect(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        inspect(tmp_path)


# --- adapters


def test_an_adapter_shows_its_base(tiny_path: Path, tiny_adapter_path: Path) -> None:
    found, base = inspect(tiny_adapter_path), inspect(tiny_path)
    assert found.usable, found.reasons
    assert found.adapter is not None
    assert (found.adapter.kind, found.adapter.base) == ("LORA", str(tiny_path))
    assert found.adapter.rank is not None
    assert found.adapter.scalable
    assert found.adapter.modules
    assert found.address == base.address
    assert base.adapter is None


def test_the_modules_are_those_that_loading_counts(
    tiny_path: Path, tiny_adapter_path: Path
) -> None:
    from shiftlens.models.loading import load_model

    loaded = load_model(tiny_path, adapter=tiny_adapter_path)
    found = inspect(tiny_adapter_path).adapter
    assert found is not None
    assert found.modules == len(loaded.adapter_modules())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "adapters of type PROMPT_TUNING add positions"),
        ({"peft_type": "ADAPTION_PROMPT"}, "adapters of type ADAPTION_PROMPT add positions"),
        ({"bias": "all"}, "trains biases of the base"),
        ({"target_modules": ["qkv"]}, "none of its target_modules is a module of"),
        ({"target_modules": "nothing.*"}, "none of its target_modules is a module of"),
        ({"base_model_name_or_path": None}, "does not name its base"),
    ],
)
def test_adapters_that_cannot_be_used(
    copied_adapter: Path, fields: dict[str, Any], reason: str
) -> None:
    assert inspect(copied_adapter).usable
    edit_json(copied_adapter / "adapter_config.json", **fields)
    found = inspect(copied_adapter)
    assert not found.usable
    assert any(reason in one for one in found.reasons), found.reasons


def test_other_kinds_are_not_scalable(copied_adapter: Path, ia3_path: Path) -> None:
    edit_json(copied_adapter / "adapter_config.json", use_dora=True)
    dora, ia3 = inspect(copied_adapter).adapter, inspect(ia3_path).adapter
    assert dora is not None
    assert ia3 is not None
    assert not dora.scalable
    assert (ia3.kind, ia3.rank, ia3.scalable) == ("IA3", None, False)


def test_without_its_base_nothing_of_an_adapter_is_proven(copied_adapter: Path) -> None:
    edit_json(copied_adapter / "adapter_config.json", base_model_name_or_path="/gone/base")
    found = inspect(copied_adapter)
    assert not found.usable
    assert "not at hand, so nothing could be proven" in found.reasons[0]
    assert found.address is None
    assert found.adapter is not None
    assert found.adapter.modules is None
    assert "no model at /gone/base" in found.reasons[0]


def test_a_base_beside_its_adapter(copied: Path, copied_adapter: Path) -> None:
    shutil.copytree(copied, copied_adapter / "base")
    edit_json(copied_adapter / "adapter_config.json", base_model_name_or_path="base")
    assert inspect(copied_adapter).address is not None


def test_from_the_hub_only_settings_are_downloaded(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(copied)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert inspect("someone/model", revision="main").usable
    assert (asked["name"], asked["revision"]) == ("someone/model", "main")
    assert not any("safetensors" in one or one == "*" for one in asked["allow_patterns"])


def test_the_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def fails(*_: Any, **__: Any) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(DataError, match="and the hub: ConnectionError"):
        inspect("someone/model")


def test_patches_say_what_was_tried() -> None:
    assert Patches("fixed", (640, 480)).grid is None
