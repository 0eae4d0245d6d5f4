"""Families with Pixtral's tower: a grid of each picture's own size, ends of rows marked or not."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.native_files import PIXELS, text, write_model, write_processor
from tests.architectures.families.tiled_parts import named_tokenizer
from tests.builders import build_tokenizer

_MARKS = ("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[INST]", "[/INST]")
_VISION: dict[str, Any] = {
    "model_type": "pixtral",
    "image_size": 64,
    "patch_size": 8,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.2,
}
_IMAGES = {**PIXELS, "patch_size": {"height": 8, "width": 8}}


def build_pixtral(path: Path, seed: int) -> Path:
    """Pixtral as LLaVA: every row of patches ends with a token of its own."""
    from transformers import LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava

    tokenizer = build_tokenizer(_MARKS)
    config = LlavaConfig(
        text_config=text(model_type="mistral", vocab_size=len(tokenizer), head_dim=8),
        vision_config=_VISION,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        image_seq_length=1,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )
    write_model(path, Llava, config, seed)
    return _write_processor(path, tokenizer, longest=48, merge=1)


def build_mistral3(path: Path, seed: int) -> Path:
    """Mistral 3: as Pixtral, with every 2 x 2 patches merged into one."""
    from transformers import Mistral3Config
    from transformers import Mistral3ForConditionalGeneration as Mistral3

    tokenizer = build_tokenizer(_MARKS)
    config = Mistral3Config(
        text_config=text(model_type="mistral", vocab_size=len(tokenizer), head_dim=8),
        vision_config=_VISION,
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    write_model(path, Mistral3, config, seed)
    return _write_processor(path, tokenizer, longest=64, merge=2)


def _write_processor(path: Path, tokenizer: Any, *, longest: int, merge: int) -> Path:
    return write_processor(
        path,
        tokenizer,
        name="Pixtral",
        images={**_IMAGES, "size": {"longest_edge": longest}},
        own={
            "patch_size": 8,
            "spatial_merge_size": merge,
            "image_token": "[IMG]",
            "image_break_token": "[IMG_BREAK]",
            "image_end_token": "[IMG_END]",
        },
        picture="[IMG]",
    )


def build_lighton_ocr(path: Path, seed: int) -> Path:
    """LightOnOCR: merged patches of a grid of each picture's own size, without ends of rows."""
    from transformers import LightOnOcrConfig
    from transformers import LightOnOcrForConditionalGeneration as LightOn

    tokenizer = named_tokenizer(
        {
            "image_token": "<|image_pad|>",
            "image_break_token": "<|vision_pad|>",
            "image_end_token": "<|vision_end|>",
        }
    )
    config = LightOnOcrConfig(
        text_config=text(
            model_type="qwen3", vocab_size=len(tokenizer), head_dim=8, tie_word_embeddings=True
        ),
        vision_config=_VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        spatial_merge_size=2,
        tie_word_embeddings=True,
    )
    write_model(path, LightOn, config, seed)
    return write_processor(
        path,
        tokenizer,
        name="LightOnOcr",
        images={**_IMAGES, "size": {"longest_edge": 64}},
        image_type="PixtralImageProcessor",
        own={"patch_size": 8, "spatial_merge_size": 2},
        picture="<|image_pad|>",
    )


PIXTRAL: tuple[Family, ...] = (
    Family(
        "Pixtral",
        "llava",
        build_pixtral,
        geometry="packed",
        note="its processor is a placeholder where torchvision is absent; [IMG_BREAK] ends a row",
    ),
    Family("Mistral3", "mistral3", build_mistral3, geometry="packed"),
    Family(
        "LightOnOCR",
        "lighton_ocr",
        build_lighton_ocr,
        geometry="packed",
        note="head and embeddings are one tensor",
    ),
)
