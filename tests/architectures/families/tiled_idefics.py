"""Idefics2, Idefics3, SmolVLM and Granite Docling: pictures cut into tiles beside a thumbnail."""

from pathlib import Path
from typing import Any

from tests.architectures.families.family import Family
from tests.architectures.families.tiled_parts import VISION, lively, named_tokenizer, text_config
from tests.builders import PAD, build_tokenizer, save, template

_FAKE, _GLOBAL, _END = "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"
_TILES = tuple(f"<row_{r}_col_{c}>" for r in (1, 2, 3) for c in (1, 2, 3))


def build_idefics2(path: Path, seed: int) -> Path:
    """Idefics2: a picture is cut into four and shown whole; a perceiver resamples each piece."""
    from transformers import Idefics2Config, Idefics2Processor
    from transformers import Idefics2ForConditionalGeneration as Idefics
    from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil

    tokenizer = build_tokenizer((_FAKE, "<image>", _END))
    config = Idefics2Config(
        text_config={"model_type": "mistral", "sliding_window": None, **text_config(tokenizer)},
        vision_config=VISION,
        perceiver_config={
            "hidden_size": 32,
            "resampler_n_latents": 3,
            "resampler_depth": 1,
            "resampler_n_heads": 4,
            "resampler_head_dim": 8,
            "num_key_value_heads": 2,
            "initializer_range": 0.2,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    processor = Idefics2Processor(
        image_processor=Idefics2ImageProcessorPil(
            size={"shortest_edge": 16, "longest_edge": 32}, do_image_splitting=True
        ),
        tokenizer=tokenizer,
        image_seq_len=3,
        chat_template=template("<image>"),
    )
    return save(path, lively(Idefics), config, processor, seed)


def build_idefics3(path: Path, seed: int) -> Path:
    """Idefics3: as many tiles of 32 x 32 as a picture needs, and a thumbnail; pixels shuffled."""
    from transformers import Idefics3Config, Idefics3Processor
    from transformers import Idefics3ForConditionalGeneration as Idefics
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = build_tokenizer(("<image>", _FAKE, _END, _GLOBAL, *_TILES))
    config = Idefics3Config(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 96}, max_image_size={"longest_edge": 32}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=template("<image>"),
    )
    return save(path, lively(Idefics), config, processor, seed)


def build_smolvlm(path: Path, seed: int) -> Path:
    """SmolVLM: as Idefics3; its processor wants num2words, which only videos need."""
    from transformers import SmolVLMConfig
    from transformers import SmolVLMForConditionalGeneration as SmolVLM
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    names = {
        "image_token": "<image>",
        "fake_image_token": _FAKE,
        "global_image_token": _GLOBAL,
        "end_of_utterance_token": _END,
    }
    tokenizer = named_tokenizer(names, _TILES)
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    cutter = SmolVLMImageProcessorPil(
        size={"longest_edge": 96}, max_image_size={"longest_edge": 32}
    )
    settings = {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}
    return save_parts(path, lively(SmolVLM), config, (tokenizer, cutter), settings, seed)


def save_parts(
    path: Path,
    kind: Any,
    config: Any,
    parts: tuple[Any, Any],
    settings: Any,
    seed: int,
    picture: str = "<image>",
) -> Path:
    """As ``save``, for a processor whose video part cannot be made here: its files alone.

    Args:
        path: where to.
        kind: class of the model.
        config: its configuration.
        parts: tokenizer and image processor.
        settings: what ``processor_config.json`` holds.
        seed: of the weights.
        picture: what the chat template writes for a picture.
    """
    import json
    from types import SimpleNamespace

    tokenizer, cutter = parts
    processor = SimpleNamespace(
        video_processor=None,
        tokenizer=tokenizer,
        image_processor=cutter,
        chat_template=template(picture),
    )
    save(path, kind, config, processor, seed)
    (path / "processor_config.json").write_text(json.dumps(settings))
    return path


IDEFICS = (
    Family(
        "Idefics2",
        "idefics2",
        build_idefics2,
        geometry="resampled",
        note="a perceiver resampler: no token has a place; four crops and the whole picture",
    ),
    Family(
        "Idefics3",
        "idefics3",
        build_idefics3,
        geometry="tiles",
        note="rows of tiles, then a thumbnail; pictures of different sizes have different counts",
    ),
    Family(
        "SmolVLM",
        "smolvlm",
        build_smolvlm,
        geometry="tiles",
        note="its processor wants num2words, for videos alone: read without",
    ),
)
