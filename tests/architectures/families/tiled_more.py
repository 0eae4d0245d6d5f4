"""DeepSeek-VL with two towers, Granite Docling and Emu3."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_parts import VISION, lively, named_tokenizer, text_config
from tests.builders import ENDS, save, template

_SIZE = {"height": 32, "width": 32}


def build_deepseek_vl_hybrid(path: Path, seed: int) -> Path:
    """DeepSeek-VL 7B: a SigLIP tower, and a SAM tower that sees the picture in high resolution."""
    from transformers import DeepseekVLHybridConfig, DeepseekVLHybridProcessor
    from transformers import DeepseekVLHybridForConditionalGeneration as DeepSeek
    from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import (
        DeepseekVLHybridImageProcessorPil,
    )

    tokenizer = named_tokenizer({"image_token": "<image_placeholder>"})
    config = DeepseekVLHybridConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        high_res_vision_config={
            "model_type": "sam_vision_model",
            **VISION,
            "image_size": 64,
            "output_channels": 8,
            "mlp_dim": 48,
            "num_pos_feats": 16,
            "window_size": 4,
            "global_attn_indexes": [1],
        },
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
        **ENDS,
    )
    processor = DeepseekVLHybridProcessor(
        DeepseekVLHybridImageProcessorPil(size=_SIZE, high_res_size={"height": 64, "width": 64}),
        tokenizer,
        chat_template=template("<image_placeholder>"),
        num_image_tokens=16,
    )
    return save(path, lively(DeepSeek), config, processor, seed)


def build_granite_docling(path: Path, seed: int) -> Path:
    """Granite Docling: tiles and a thumbnail; pictures enter the first blocks once more."""
    from transformers import GraniteDoclingConfig, GraniteDoclingProcessor
    from transformers import GraniteDoclingForConditionalGeneration as Granite
    from transformers.models.granite_docling.image_processing_pil_granite_docling import (
        GraniteDoclingImageProcessorPil,
    )

    tiles = tuple(f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5))
    marks = ("<fake_token_around_image>", "<global-img>", *tiles)
    tokenizer = named_tokenizer({"image_token": "<image>"}, marks)
    config = GraniteDoclingConfig(
        text_config=text_config(
            tokenizer,
            embedding_multiplier=2.0,
            logits_scaling=4.0,
            residual_multiplier=0.5,
            attention_multiplier=0.3,
        ),
        vision_config={
            **VISION,
            "out_hidden_size": 32,
            "scale_factor": 2,
            "deepstack_visual_indexes": [0, 1],
            "use_fine_route": False,
        },
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
        **{"pad_token_id": ENDS["pad_token_id"]},
    )
    processor = GraniteDoclingProcessor(
        GraniteDoclingImageProcessorPil(size=_SIZE, max_patches=4),
        tokenizer,
        image_seq_len=4,
        chat_template=template("<image>"),
    )
    return save(path, lively(Granite), config, processor, seed)


def build_emu3(path: Path, seed: int) -> Path:
    """Emu3: a picture of any size is turned into codes of the vocabulary, row by row."""
    from transformers import Emu3Config, Emu3Processor
    from transformers import Emu3ForConditionalGeneration as Emu
    from transformers.models.emu3.image_processing_emu3 import Emu3ImageProcessor

    names: dict[str, Any] = {
        "image_token": "<image>",
        "boi_token": "<|image start|>",
        "eoi_token": "<|image end|>",
        "image_wrapper_token": "<|image token|>",
        "eof_token": "<|extra_201|>",
    }
    codes = tuple(f"<|visual token {at:06d}|>" for at in range(16))
    tokenizer = named_tokenizer(names, ("<|extra_200|>", *codes))
    config = Emu3Config(
        text_config=text_config(tokenizer, attention_dropout=0.0),
        vq_config={
            "codebook_size": 16,
            "embed_dim": 4,
            "latent_channels": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [3],
            "hidden_size": 32,
            "temporal_downsample_factor": 4,
        },
        vocabulary_map=tokenizer.get_vocab(),
        tie_word_embeddings=False,
    )
    processor = Emu3Processor(
        Emu3ImageProcessor(min_pixels=32 * 32, max_pixels=48 * 48, spatial_factor=8),
        tokenizer,
        chat_template=template("<image>"),
    )
    return save(path, lively(Emu), config, processor, seed)


# Emu3 is not among them: it reads pictures of different sizes in a batch otherwise (test_emu3.py).
MORE = (
    Family("DeepSeek-VL-hybrid", "deepseek_vl_hybrid", build_deepseek_vl_hybrid),
    Family("Granite-Docling", "granite_docling", build_granite_docling, geometry="tiles"),
)
