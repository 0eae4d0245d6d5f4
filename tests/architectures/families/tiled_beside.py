"""BLIP-2, InstructBLIP and Mllama: pictures come through a Q-Former, or beside the text."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_parts import VISION, lively, named_tokenizer, text_config
from tests.builders import ENDS, build_tokenizer, save, template

_SMALL = {"size": {"height": 32, "width": 32}}
_QFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "cross_attention_frequency": 1,
    "initializer_range": 0.3,
}


def _opt(tokenizer: Any) -> dict[str, Any]:
    """OPT, whose decoder lies one module deeper than others and which learned its positions."""
    return {
        "model_type": "opt",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "init_std": 0.5,
        **ENDS,
    }


def build_blip2(path: Path, seed: int) -> Path:
    """BLIP-2 with OPT: no chat template; the processor puts the picture before the first token."""
    from transformers import Blip2Config, Blip2Processor
    from transformers import Blip2ForConditionalGeneration as Blip
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    tokenizer = build_tokenizer(("<image>",))
    config = Blip2Config(
        text_config=_opt(tokenizer),
        vision_config={**VISION, "initializer_range": 0.2},
        qformer_config={**_QFORMER, "vocab_size": len(tokenizer)},
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.3,
    )
    processor = Blip2Processor(BlipImageProcessorPil(**_SMALL), tokenizer, num_query_tokens=3)
    return save(path, lively(Blip), config, processor, seed)


def build_instructblip(path: Path, seed: int) -> Path:
    """InstructBLIP with OPT: the Q-Former reads the prompt too, with a tokenizer of its own."""
    from transformers import InstructBlipConfig, InstructBlipProcessor
    from transformers import InstructBlipForConditionalGeneration as Blip
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    tokenizer = build_tokenizer(("<image>",))
    config = InstructBlipConfig(
        text_config=_opt(tokenizer),
        vision_config={**VISION, "initializer_range": 0.2},
        qformer_config={**_QFORMER, "vocab_size": len(build_tokenizer(()))},
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        initializer_range=0.3,
    )
    processor = InstructBlipProcessor(
        BlipImageProcessorPil(**_SMALL), tokenizer, build_tokenizer(()), num_query_tokens=3
    )
    return save(path, lively(Blip), config, processor, seed)


def build_mllama(path: Path, seed: int) -> Path:
    """Mllama: two of the blocks attend to tiles of pictures that lie beside the text."""
    from transformers import MllamaConfig, MllamaProcessor
    from transformers import MllamaForConditionalGeneration as Mllama
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    tokenizer = named_tokenizer({"image_token": "<|image|>"}, ("<|python_tag|>",))
    text = text_config(tokenizer, cross_attention_layers=[1, 3])
    config = MllamaConfig(
        text_config=text,
        vision_config={
            "image_size": 32,
            "patch_size": 16,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
            "initializer_range": 0.2,
        },
        image_token_index=tokenizer.image_token_id,
    )
    processor = MllamaProcessor(
        MllamaImageProcessorPil(**_SMALL), tokenizer, chat_template=template("<|image|>")
    )
    return save(path, lively(Mllama), config, processor, seed)


BESIDE = (
    Family(
        "BLIP-2",
        "blip-2",
        build_blip2,
        several_pictures=False,
        text_only=False,
        mixed=False,
        geometry="resampled",
        note="generate() takes pixel_values first, and the processor puts one picture in a prompt",
    ),
    Family(
        "InstructBLIP",
        "instructblip",
        build_instructblip,
        several_pictures=False,
        text_only=False,
        mixed=False,
        geometry="resampled",
        note="as BLIP-2",
    ),
    Family(
        "Mllama",
        "mllama",
        build_mllama,
        text_only=False,
        mixed=False,
        even=True,
        geometry="resampled",
        note="two blocks read pictures alone and are left out of text; a text before its pictures "
        "attends evenly to as many as the batch holds (2.7e-2 apart when numbers differ)",
    ),
)
