"""LLaVA and its kin: a vision tower, a projector, and a decoder that reads patches in a row."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.llava_pixtral import PIXTRAL
from tests.architectures.families.llava_tiles import TILES
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.builders import build_llava, build_tokenizer, edit_json

# A CLIP tower on pictures of 24 x 24: nine patches behind the class token.
_CLIP: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": 16,
}
_PATCHES = {"patch_size": 8, "num_additional_image_tokens": 1}


def build_llava_15(path: Path, seed: int) -> Path:
    """LLaVA-1.5 as released: patches are read before the tower's last block."""
    build_llava(path, seed=seed)
    edit_json(path / "config.json", vision_feature_layer=-2)
    return path


def build_vip_llava(path: Path, seed: int) -> Path:
    """VipLlava: patches as several blocks of the tower see them, side by side."""
    from transformers import VipLlavaConfig
    from transformers import VipLlavaForConditionalGeneration as VipLlava

    tokenizer = build_tokenizer()
    config = VipLlavaConfig(
        text_config=text(model_type="llama", vocab_size=len(tokenizer)),
        vision_config={**_CLIP, "num_hidden_layers": 3},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=[-2, -3, 1],
        image_seq_length=9,
    )
    write_model(path, VipLlava, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Llava",
        images={**PIXELS, "size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}},
        image_type="CLIPImageProcessor",
        own={**_PATCHES, "vision_feature_select_strategy": "default"},
        picture="<image>",
    )


LLAVA: tuple[Family, ...] = (
    Family("LLaVA-1.5", "llava", build_llava_15),
    Family("VipLlava", "vipllava", build_vip_llava),
    *TILES,
    *PIXTRAL,
)
