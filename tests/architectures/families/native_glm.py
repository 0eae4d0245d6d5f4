"""GLM-4V and its kin: pictures of any size, positions of three dimensions, a norm on both sides."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.builders import build_tokenizer

EXTRA = ("<|image|>", "<|video|>", "<|begin_of_image|>", "<|end_of_image|>",
         "<|begin_of_video|>", "<|end_of_video|>")  # fmt: skip
PICTURE = "<|begin_of_image|><|image|><|end_of_image|>"
GRIDS: dict[str, Any] = {
    **PIXELS,
    "patch_size": 8,
    "merge_size": 2,
    "temporal_patch_size": 2,
    # The least and the most pixels of two frames: a picture counts as two.
    "size": {"shortest_edge": 2 * 32 * 32, "longest_edge": 2 * 64 * 64},
}
VISION: dict[str, Any] = {
    "depth": 2,
    "num_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "out_hidden_size": 32,
    "initializer_range": 0.2,
}


def _config(kind: Any, tokenizer: Any, **language: Any) -> Any:
    image, video, *ends = (tokenizer.convert_tokens_to_ids(token) for token in EXTRA)
    names = ("image_start", "image_end", "video_start", "video_end")
    return kind(
        text_config=text(
            vocab_size=len(tokenizer),
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
                "partial_rotary_factor": 1.0,
            },
            **language,
        ),
        vision_config=VISION,
        image_token_id=image,
        video_token_id=video,
        tie_word_embeddings=False,
        **{f"{name}_token_id": number for name, number in zip(names, ends, strict=True)},
    )


def _write(path: Path, tokenizer: Any, name: str) -> Path:
    return write_processor(
        path,
        tokenizer,
        name=name,
        images=GRIDS,
        videos={**GRIDS, "video_processor_type": f"{name}VideoProcessor"},
        picture=PICTURE,
    )


def _build_4v(path: Path, seed: int) -> Path:
    from transformers import Glm4vConfig, Glm4vForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    config = _config(Glm4vConfig, tokenizer)
    write_model(path, Glm4vForConditionalGeneration, config, seed)
    return _write(path, tokenizer, "Glm4v")


def _build_46v(path: Path, seed: int) -> Path:
    from transformers import Glm46VConfig, Glm46VForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    config = _config(Glm46VConfig, tokenizer)
    config.text_config.model_type = "glm4v_text"
    write_model(path, Glm46VForConditionalGeneration, config, seed)
    return _write(path, tokenizer, "Glm46V")


def _build_ocr(path: Path, seed: int) -> Path:
    from transformers import GlmOcrConfig, GlmOcrForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    config = _config(GlmOcrConfig, tokenizer, head_dim=8)
    write_model(path, GlmOcrForConditionalGeneration, config, seed)
    return _write(path, tokenizer, "Glm46V")


GLM: tuple[Family, ...] = (
    Family("GLM-4V", "glm4v", _build_4v, geometry="dynamic"),
    Family("GLM-4.6V", "glm46v", _build_46v, geometry="dynamic"),
    Family("GLM-OCR", "glm_ocr", _build_ocr, geometry="dynamic"),
)
