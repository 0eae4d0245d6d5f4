"""Families that nobody asked for: they must do as well, by the same rules."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.architectures.families.native_qwen import EXTRA, GRIDS, PICTURE, ROPE, VISION, numbers
from tests.builders import build_tokenizer


def _build_exaone(path: Path, seed: int) -> Path:
    """A tower of windows in front of blocks that see a few positions back, but for the last."""
    from transformers import Exaone4_5_Config, Exaone4_5_ForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    known = numbers(tokenizer)
    config = Exaone4_5_Config(
        text_config={
            **text(vocab_size=len(tokenizer), head_dim=8),
            "model_type": "exaone4",
            "sliding_window": 8,
            "sliding_window_pattern": 4,
        },
        vision_config={
            **VISION,
            "num_key_value_heads": 1,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=known["image_token_id"],
        video_token_id=known["video_token_id"],
        tie_word_embeddings=False,
    )
    write_model(path, Exaone4_5_ForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Exaone4_5_",
        image_type="Qwen2VLImageProcessor",
        images=GRIDS,
        videos={**GRIDS, "video_processor_type": "Qwen2VLVideoProcessor"},
        picture=PICTURE,
    )


def _build_ovis2(path: Path, seed: int) -> Path:
    """Patches become mixtures of visual words; markers between tiles have embeddings of these."""
    from transformers import Ovis2Config, Ovis2ForConditionalGeneration

    marks = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")
    tokenizer = build_tokenizer(("<image>", "<IMG_ATOM>", *marks))
    number = tokenizer.convert_tokens_to_ids
    config = Ovis2Config(
        text_config={**text(vocab_size=len(tokenizer)), "model_type": "qwen2"},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "vocab_size": 64,
            "hidden_stride": 2,
            "initializer_range": 0.2,
        },
        image_token_id=number("<IMG_ATOM>"),
        visual_indicator_token_ids=[number(mark) for mark in marks],
        vocab_size=len(tokenizer),
        hidden_size=32,
        tie_word_embeddings=False,
    )
    write_model(path, Ovis2ForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="Ovis2",
        images={
            **PIXELS,
            "size": {"height": 32, "width": 32},
            "crop_to_patches": True,
            "min_patches": 1,
            "max_patches": 4,
            "use_covering_area_grid": True,
        },
        own={"image_seq_length": 4},
        picture="<image>",
    )


def _build_paddle(path: Path, seed: int) -> Path:
    from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    tokenizer = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer,
        extra_special_tokens={"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        clean_up_tokenization_spaces=False,
        **{f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos")},
        unk_token="<unk>",
    )
    config = PaddleOCRVLConfig(
        text_config=text(vocab_size=len(tokenizer), head_dim=8, rope_parameters=ROPE),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        tie_word_embeddings=False,
        **numbers(tokenizer),
    )
    write_model(path, PaddleOCRVLForConditionalGeneration, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="PaddleOCRVL",
        images={**GRIDS, "temporal_patch_size": 1},
        picture=PICTURE,
    )


def _build_video_llama(path: Path, seed: int) -> Path:
    from transformers import VideoLlama3Config, VideoLlama3ForConditionalGeneration

    tokenizer = build_tokenizer(EXTRA)
    known = numbers(tokenizer)
    config = VideoLlama3Config(
        text_config={**text(vocab_size=len(tokenizer)), "model_type": "qwen2"},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 8,
            "initializer_range": 0.2,
        },
        image_token_id=known["image_token_id"],
        video_token_id=known["video_token_id"],
        tie_word_embeddings=False,
    )
    write_model(path, VideoLlama3ForConditionalGeneration, config, seed)
    grids: dict[str, Any] = {**GRIDS, "temporal_patch_size": 1, "merge_size": 1}
    return write_processor(
        path,
        tokenizer,
        name="VideoLlama3",
        images=grids,
        videos={**grids, "merge_size": 2, "video_processor_type": "VideoLlama3VideoProcessor"},
        picture="<|image_pad|>",
    )


MORE: tuple[Family, ...] = (
    Family("EXAONE-4.5", "exaone4_5", _build_exaone, geometry="dynamic"),
    Family("Ovis2", "ovis2", _build_ovis2, geometry="tiles"),
    Family("PaddleOCR-VL", "paddleocr_vl", _build_paddle, geometry="dynamic"),
    Family("VideoLLaMA3", "video_llama_3", _build_video_llama, geometry="dynamic"),
)
