"""PaliGemma, PaliGemma 2, Gemma 3 and Gemma 4."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_idefics import save_parts
from tests.architectures.families.tiled_parts import (
    VISION,
    lively,
    named_tokenizer,
    text_config,
    without_bos,
)
from tests.builders import ENDS, build_tokenizer, save, template

_SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION}
# These families scale their embeddings up and norm what a block adds: with the large weights of the
# other families the last token would outweigh everything else.
_SMALL = 0.1
_GEMMA3 = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<soft>"}


def build_paligemma(path: Path, seed: int, **text: Any) -> Path:
    """PaliGemma: reads the prompt in both directions; no chat template, nothing without picture."""
    from transformers import PaliGemmaConfig, PaliGemmaProcessor
    from transformers import PaliGemmaForConditionalGeneration as PaliGemma
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    cutter = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    cutter.image_seq_length = 16
    # Its tokenizer adds no first token: the processor writes it between picture and text.
    processor = PaliGemmaProcessor(cutter, without_bos(build_tokenizer(("<image>",))))
    config = PaliGemmaConfig(
        text_config=text_config(
            processor.tokenizer,
            **{"model_type": "gemma", "head_dim": 8, "tie_word_embeddings": True, **text},
        ),
        vision_config=_SIGLIP,
        image_token_index=processor.image_token_id,
        projection_dim=32,
        hidden_size=32,
        **ENDS,
    )
    return save(path, lively(PaliGemma), config, processor, seed)


def build_paligemma2(path: Path, seed: int) -> Path:
    """PaliGemma 2: Gemma 2 inside, with sliding windows and capped logits."""
    return build_paligemma(
        path,
        seed,
        model_type="gemma2",
        sliding_window=16,
        final_logit_softcapping=4.0,
        attn_logit_softcapping=5.0,
        query_pre_attn_scalar=8,
        initializer_range=_SMALL,
    )


def build_gemma3(path: Path, seed: int) -> Path:
    """Gemma 3: the tokens of a picture see each other in both directions; sliding windows."""
    from transformers import Gemma3Config, Gemma3Processor
    from transformers import Gemma3ForConditionalGeneration as Gemma
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    tokenizer = named_tokenizer(_GEMMA3)
    config = Gemma3Config(
        text_config=text_config(
            tokenizer,
            head_dim=8,
            query_pre_attn_scalar=8,
            sliding_window=12,
            sliding_window_pattern=2,
            initializer_range=_SMALL,
            tie_word_embeddings=True,
        ),
        vision_config=_SIGLIP,
        mm_tokens_per_image=4,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=tokenizer,
        chat_template=template("<start_of_image>"),
        image_seq_length=4,
    )
    return save(path, lively(Gemma), config, processor, seed)


def build_gemma4(path: Path, seed: int) -> Path:
    """Gemma 4: pictures of any size pooled 3 x 3, inputs for every layer, keys shared by layers."""
    from transformers import Gemma4Config
    from transformers import Gemma4ForConditionalGeneration as Gemma
    from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

    names = {
        "image_token": "<|image|>",
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "audio_token": "<|audio|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
    }
    tokenizer = named_tokenizer(names, ("<|video|>",))
    config = Gemma4Config(
        text_config=text_config(
            tokenizer,
            head_dim=8,
            global_head_dim=16,
            sliding_window=12,
            layer_types=["sliding_attention", "full_attention"] * 2,
            num_kv_shared_layers=2,
            vocab_size_per_layer_input=len(tokenizer),
            hidden_size_per_layer_input=8,
            final_logit_softcapping=30.0,
            use_bidirectional_attention="vision",
            initializer_range=_SMALL,
            tie_word_embeddings=True,
        ),
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": 4,
            "position_embedding_size": 64,
            "initializer_range": 0.2,
        },
        audio_config=None,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        audio_token_id=tokenizer.audio_token_id,
        boa_token_id=tokenizer.boa_token_id,
        eoa_token_index=tokenizer.eoa_token_id,
    )
    cutter = Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70, pooling_kernel_size=3)
    settings = {"processor_class": "Gemma4Processor", "image_seq_length": 70}
    return save_parts(
        path, lively(Gemma), config, (tokenizer, cutter), settings, seed, picture="<|image|>"
    )


_PREFIX = "its processor takes no text without a picture, and puts a first token into its middle"
GEMMA = (
    Family("PaliGemma", "paligemma", build_paligemma, text_only=False, mixed=False, note=_PREFIX),
    Family("PaliGemma2", "paligemma", build_paligemma2, text_only=False, mixed=False, note=_PREFIX),
    Family(
        "Gemma3",
        "gemma3",
        build_gemma3,
        note="pan and scan is an option of a call in transformers: see test_pan_and_scan.py",
    ),
    Family("Gemma4", "gemma4", build_gemma4, geometry="dynamic"),
)
