"""Chameleon, Janus, DeepSeek-VL and its hybrid: one square picture, as codes or as patches."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_parts import VISION, lively, named_tokenizer, text_config
from tests.builders import ENDS, save, template

_SIZE = {"height": 32, "width": 32}
_PICTURES = {
    "image_token": "<image>",
    "boi_token": "<begin_of_image>",
    "eoi_token": "<end_of_image>",
}
_VQ: dict[str, Any] = {
    "embed_dim": 8,
    "num_embeddings": 16,
    "latent_channels": 8,
    "base_channels": 32,
    "channel_multiplier": [1, 1],
    "num_res_blocks": 1,
    "initializer_range": 0.2,
}


def build_chameleon(path: Path, seed: int) -> Path:
    """Chameleon: a picture is turned into tokens of the vocabulary, which it must not say."""
    from transformers import ChameleonConfig, ChameleonProcessor
    from transformers import ChameleonForConditionalGeneration as Chameleon
    from transformers.models.chameleon.image_processing_pil_chameleon import (
        ChameleonImageProcessorPil,
    )

    names = {"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"}
    digits = str.maketrans("0123456789", "ABCDEFGHIJ")
    codes = tuple(f"IMGIMG{str(at).translate(digits)}Z" for at in range(16))
    tokenizer = named_tokenizer(names, ("<sep>", *codes))
    tokenizer.sep_token = "<sep>"
    config = ChameleonConfig(
        **text_config(tokenizer),
        vq_config={**_VQ, "resolution": 16},
        vocabulary_map=tokenizer.get_vocab(),
    )
    processor = ChameleonProcessor(
        ChameleonImageProcessorPil(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
        ),
        tokenizer,
        image_seq_length=64,
    )
    return save(path, lively(Chameleon), config, processor, seed)


def build_janus(path: Path, seed: int) -> Path:
    """Janus: patches for reading pictures, and codes for drawing them, which we do not do."""
    from transformers import JanusConfig, JanusProcessor
    from transformers import JanusForConditionalGeneration as Janus
    from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil

    tokenizer = named_tokenizer(_PICTURES)
    vision = {key: one for key, one in VISION.items() if key != "intermediate_size"}
    config = JanusConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={**vision, "mlp_ratio": 2, "projection_dim": 32, "num_image_tokens": 16},
        vq_config={**_VQ, "projection_dim": 32, "image_token_embed_dim": 32},
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = JanusProcessor(
        JanusImageProcessorPil(size=_SIZE),
        tokenizer,
        chat_template=template("<image>"),
        num_image_tokens=16,
    )
    return save(path, lively(Janus), config, processor, seed)


def build_deepseek_vl(path: Path, seed: int) -> Path:
    """DeepSeek-VL: a SigLIP tower and a Llama."""
    from transformers import DeepseekVLConfig, DeepseekVLProcessor
    from transformers import DeepseekVLForConditionalGeneration as DeepSeek
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
        DeepseekVLImageProcessorPil,
    )

    tokenizer = named_tokenizer({"image_token": "<image_placeholder>"})
    config = DeepseekVLConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
        **ENDS,
    )
    processor = DeepseekVLProcessor(
        DeepseekVLImageProcessorPil(size=_SIZE),
        tokenizer,
        chat_template=template("<image_placeholder>"),
        num_image_tokens=16,
    )
    return save(path, lively(DeepSeek), config, processor, seed)


ENCODED = (
    Family("Chameleon", "chameleon", build_chameleon, masked=True),
    Family("Janus", "janus", build_janus),
    Family("DeepSeek-VL", "deepseek_vl", build_deepseek_vl),
)
