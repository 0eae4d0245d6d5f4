"""Models with an encoder of their own for text, and models that write none: one clear error."""

from pathlib import Path
from typing import Any

import pytest
from tests.architectures.families.tiled_beside import build_blip2
from tests.builders import edit_json

from shiftlens.core.errors import DataError
from shiftlens.models.address import find_address
from shiftlens.models.loading import load_model

# Every type of transformers 5.23 whose answer is decoded from what another stack has read.
_TWO_STACKS = (
    "florence2",
    "pix2struct",
    "pp_formulanet",
    "t5gemma2",
    "udop",
    "vision-encoder-decoder",
)
_T5: dict[str, Any] = {
    "model_type": "t5",
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 64,
}


def _config(kind: str) -> Any:
    from transformers import AutoConfig, BertConfig, VisionEncoderDecoderConfig, ViTConfig

    if kind == "vision-encoder-decoder":
        return VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(), BertConfig())
    return AutoConfig.for_model(kind)


def _blip(kind: str) -> Any:
    """BLIP as it is released with Flan-T5 in place of OPT or Vicuna."""
    from transformers import AutoConfig

    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 48}
    return AutoConfig.for_model(
        kind,
        text_config=_T5,
        vision_config={**small, "image_size": 32, "patch_size": 8},
        qformer_config=small,
    )


@pytest.mark.parametrize("kind", _TWO_STACKS)
def test_two_stacks_are_refused_before_any_weight_is_read(kind: str, tmp_path: Path) -> None:
    _config(kind).save_pretrained(tmp_path)
    with pytest.raises(DataError, match=f"is an encoder-decoder model .{kind}") as caught:
        load_model(tmp_path)
    assert "share one decoder" in str(caught.value)


@pytest.mark.parametrize("kind", ["blip-2", "instructblip"])
def test_so_is_a_family_whose_language_model_has_two(kind: str, tmp_path: Path) -> None:
    _blip(kind).save_pretrained(tmp_path)
    with pytest.raises(DataError, match=f"is an encoder-decoder model .{kind}"):
        load_model(tmp_path)


@pytest.mark.parametrize("kind", ["blip-2", "instructblip"])
def test_no_address_is_found_in_them(kind: str) -> None:
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        hf = AutoModelForImageTextToText.from_config(_blip(kind))
    with pytest.raises(DataError, match="is an encoder-decoder model"):
        find_address(hf)


def test_twin_the_same_family_with_one_stack_is_read(tmp_path: Path) -> None:
    path = build_blip2(tmp_path / "model", 0)
    assert load_model(path).address.blocks_path == "language_model.model.decoder.layers"


def test_a_type_that_reads_no_pictures_is_refused(tmp_path: Path) -> None:
    path = build_blip2(tmp_path / "model", 0)
    edit_json(path / "config.json", model_type="opt")
    with pytest.raises(DataError, match="is not a model of pictures and text"):
        load_model(path)
