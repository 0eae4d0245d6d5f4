"""Qwen-VL and its kin: pictures of any size, merged patches, three-dimensional positions."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.builders import build_qwen2_vl, build_tokenizer

EXTRA = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
GRIDS: dict[str, Any] = {
    **PIXELS,
    "patch_size": 8,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64},
}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
VISION: dict[str, Any] = {
    "depth": 2,
    "num_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "patch_size": 8,
    "out_hidden_size": 32,
    "initializer_range": 0.2,
}


def numbers(tokenizer: Any) -> dict[str, int]:
    """Fields of a configuration that name special tokens, with their numbers."""
    start, end, image, video = (tokenizer.convert_tokens_to_ids(token) for token in EXTRA)
    return {
        "image_token_id": image,
        "video_token_id": video,
        "vision_start_token_id": start,
        "vision_end_token_id": end,
    }


def _build_2(path: Path, seed: int) -> Path:
    return build_qwen2_vl(path, seed=seed)


def _build_2_5(path: Path, seed: int) -> Path:
    """Blocks of the tower look at windows of 16 pixels, but for the last, which sees all."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    config = Qwen2_5_VLConfig(
        text_config=text(vocab_size=len(tokenizer), rope_parameters=ROPE),
        vision_config={**VISION, "window_size": 32, "fullatt_block_indexes": [1]},
        tie_word_embeddings=False,
        **numbers(tokenizer),
    )
    write_model(path, Qwen2_5_VLForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Qwen2_5_VL",
        image_type="Qwen2VLImageProcessor",
        images=GRIDS,
        picture=PICTURE,
    )


def _build_3(path: Path, seed: int) -> Path:
    """DeepStack: features of early blocks of the tower are added after blocks of the decoder."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    config = Qwen3VLConfig(
        text_config=text(
            vocab_size=len(tokenizer),
            head_dim=8,
            rope_parameters={**ROPE, "mrope_interleaved": True},
        ),
        vision_config={
            **VISION,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
        },
        tie_word_embeddings=False,
        **numbers(tokenizer),
    )
    write_model(path, Qwen3VLForConditionalGeneration, config, seed)
    return _write_3(path, tokenizer)


def _write_3(path: Path, tokenizer: Any) -> Path:
    return write_processor(
        path,
        tokenizer,
        name="Qwen3VL",
        image_type="Qwen2VLImageProcessorFast",
        images=GRIDS,
        videos={**GRIDS, "video_processor_type": "Qwen3VLVideoProcessor"},
        picture=PICTURE,
    )


def _build_3_5(path: Path, seed: int) -> Path:
    """Two blocks of linear attention, which keep a state of their own, among two full ones."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    # Its tokenizer class makes a byte-level vocabulary of whatever the file says.
    tokenizer = build_tokenizer(EXTRA, by_bytes=True)
    config = Qwen3_5Config(
        text_config=text(
            vocab_size=len(tokenizer),
            head_dim=8,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            # Full ones first: bytes before the last few are soon forgotten by random linear ones.
            layer_types=["full_attention", "linear_attention"] * 2,
            rope_parameters={**ROPE, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
        ),
        vision_config={**VISION, "num_position_embeddings": 16},
        tie_word_embeddings=False,
        **numbers(tokenizer),
    )
    write_model(path, Qwen3_5ForConditionalGeneration, config, seed)
    return _write_3(path, tokenizer)


QWEN: tuple[Family, ...] = (
    Family("Qwen2-VL", "qwen2_vl", _build_2, geometry="dynamic"),
    Family(
        "Qwen2.5-VL",
        "qwen2_5_vl",
        _build_2_5,
        geometry="dynamic",
        note="the tower permutes its patches into windows, and back before the language model",
    ),
    Family(
        "Qwen3-VL",
        "qwen3_vl",
        _build_3,
        geometry="dynamic",
        note="visual features are added after early blocks, outside them",
    ),
    Family(
        "Qwen3.5",
        "qwen3_5",
        _build_3_5,
        geometry="dynamic",
        note="blocks of linear attention among full ones",
    ),
)
