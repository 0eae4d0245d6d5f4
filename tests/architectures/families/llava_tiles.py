"""LLaVA's kin that cut a picture into tiles and show it whole besides."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.architectures.families.tiled_parts import named_tokenizer
from tests.builders import build_tokenizer

_TOWER: dict[str, Any] = {
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
_CLIP = {**_TOWER, "model_type": "clip_vision_model", "projection_dim": 16}
_SIGLIP = {**_TOWER, "model_type": "siglip_vision_model", "vision_use_head": False}
_WHOLE = {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}
# Heights and widths that a picture is fitted into, in tiles of 24 x 24.
_SHAPES = [[24, 48], [48, 24], [48, 48], [72, 24], [24, 72]]


def build_llava_next(path: Path, seed: int) -> Path:
    """LLaVA-NeXT: tiles of any resolution, without their padding, a newline after each row."""
    from transformers import LlavaNextConfig
    from transformers import LlavaNextForConditionalGeneration as Next

    tokenizer = build_tokenizer()
    config = LlavaNextConfig(
        text_config=text(model_type="mistral", vocab_size=len(tokenizer), sliding_window=None),
        vision_config=_CLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=_SHAPES,
    )
    write_model(path, Next, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="LlavaNext",
        images={**PIXELS, **_WHOLE, "do_pad": True, "image_grid_pinpoints": _SHAPES},
        own={
            "patch_size": 8,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
            "image_token": "<image>",
        },
        picture="<image>",
    )


def build_llava_onevision(path: Path, seed: int) -> Path:
    """LLaVA-OneVision: as NeXT for one picture, a single tile each for several."""
    from transformers import LlavaOnevisionConfig
    from transformers import LlavaOnevisionForConditionalGeneration as Onevision

    tokenizer = build_tokenizer(("<image>", "<video>"))
    shapes = [[24 * rows, 24 * cols] for rows in (1, 2, 3) for cols in (1, 2, 3)]
    config = LlavaOnevisionConfig(
        text_config=text(model_type="qwen2", vocab_size=len(tokenizer)),
        vision_config=_SIGLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=shapes,
        vision_aspect_ratio="anyres_max_4",
    )
    write_model(path, Onevision, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="LlavaOnevision",
        images={
            **PIXELS,
            "size": {"height": 24, "width": 24},
            "do_pad": True,
            "image_grid_pinpoints": shapes,
        },
        videos={**PIXELS, "video_processor_type": "LlavaOnevisionVideoProcessor"},
        own={
            "num_image_tokens": 9,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_4",
            "image_token": "<image>",
            "video_token": "<video>",
        },
        picture="<image>",
    )


def build_aya_vision(path: Path, seed: int) -> Path:
    """Aya Vision: tiles with names, pixels shuffled, a sliding window of attention."""
    from transformers import AyaVisionConfig
    from transformers import AyaVisionForConditionalGeneration as Aya

    pieces = ("START_OF_IMG", "END_OF_IMG", "IMG_PATCH", "IMG_LINE_BREAK")
    tiles = ("TILE", "TILE_GLOBAL", *(f"TILE_{number}" for number in range(1, 5)))
    marks = ("<image>", *(f"<|{piece}|>" for piece in pieces), *tiles)
    tokenizer = build_tokenizer(marks)
    config = AyaVisionConfig(
        text_config=_cohere2(tokenizer),
        vision_config={**_SIGLIP, "image_size": 32},
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
    )
    write_model(path, Aya, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="AyaVision",
        images={
            **PIXELS,
            "size": {"height": 32, "width": 32},
            "crop_to_patches": True,
            "min_patches": 1,
            "max_patches": 4,
        },
        image_type="GotOcr2ImageProcessor",
        own={"patch_size": 8, "img_size": 32, "downsample_factor": 2, "image_token": "<image>"},
        picture="<image>",
    )


def build_cohere2_vision(path: Path, seed: int) -> Path:
    """Command A Vision: the whole picture and its tiles, each on a line of its own."""
    from transformers import Cohere2VisionConfig
    from transformers import Cohere2VisionForConditionalGeneration as Cohere2

    tokenizer = named_tokenizer(
        {
            "image_token": "<|IMG_PATCH|>",
            "boi_token": "<|START_OF_IMG|>",
            "eoi_token": "<|END_OF_IMG|>",
            "img_line_break_token": "<|IMG_LINE_BREAK|>",
        }
    )
    config = Cohere2VisionConfig(
        text_config=_cohere2(tokenizer),
        vision_config={**_SIGLIP, "image_size": 32},
        image_token_id=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        downsample_factor=2,
        alignment_intermediate_size=64,
    )
    write_model(path, Cohere2, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Cohere2Vision",
        images={
            **PIXELS,
            "size": {"height": 32, "width": 32},
            "crop_to_patches": True,
            "min_patches": 1,
            "max_patches": 4,
            # Not pixels: the side of a tile in tokens.
            "patch_size": 2,
        },
        picture="<|IMG_PATCH|>",
    )


def _cohere2(tokenizer: Any) -> dict[str, Any]:
    return text(
        model_type="cohere2",
        vocab_size=len(tokenizer),
        logit_scale=0.25,
        sliding_window=16,
        layer_types=["sliding_attention"] * 3 + ["full_attention"],
        tie_word_embeddings=True,
    )


TILES: tuple[Family, ...] = (
    Family("LLaVA-NeXT", "llava_next", build_llava_next, geometry="tiles"),
    Family(
        "LLaVA-OneVision",
        "llava_onevision",
        build_llava_onevision,
        geometry="tiles",
        note="its video processor needs torchvision; two pictures of a sample are not cut",
    ),
    Family(
        "Aya Vision",
        "aya_vision",
        build_aya_vision,
        geometry="tiles",
        note="its text configuration names a scale of logits that it does not apply",
    ),
    Family(
        "Command A Vision",
        "cohere2_vision",
        build_cohere2_vision,
        geometry="tiles",
        note="transformers has its image processor for torchvision alone",
    ),
)
