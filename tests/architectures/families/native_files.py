"""Model directories as they lie on the hub: weights, tokenizer, and settings written as JSON.

Settings are written by hand and not by ``save_pretrained``, because several of these processors
cannot be made without torchvision, and because a user's directory is an older one than ours.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tests.builders import ENDS, TEXT, template

# What every picture goes through after it was cut and resized.
PIXELS: dict[str, Any] = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 1 / 255,
}


def text(**fields: Any) -> dict[str, Any]:
    """Settings of a tiny language model; ``fields`` add to them and override them."""
    return {**TEXT, **fields}


def write_model(path: Path, kind: Any, config: Any, seed: int, **generation: Any) -> None:
    """Write random weights of a class of transformers; the same seed writes the same bytes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).eval()
    model.generation_config.update(**(ENDS | generation))
    model.save_pretrained(path)


def write_processor(
    path: Path,
    tokenizer: Any,
    *,
    name: str,
    images: Mapping[str, Any],
    picture: str | None,
    image_type: str | None = None,
    videos: Mapping[str, Any] | None = None,
    own: Mapping[str, Any] | None = None,
) -> Path:
    """Write the files of a processor beside the weights.

    Args:
        path: the model's directory.
        tokenizer: with the family's special tokens.
        name: the family's prefix, ``Qwen2VL`` of ``Qwen2VLProcessor``.
        images: settings of the image processor.
        picture: what the chat template writes for a picture; ``None`` for no chat template.
        image_type: class of the image processor where it is not of the family's own.
        videos: settings of the video processor where released checkpoints have them; its class.
        own: settings of the processor itself where released checkpoints have them.
    """
    owner = f"{name}Processor"
    kind = image_type or f"{name}ImageProcessor"
    tokenizer.save_pretrained(path)
    _write(path, "preprocessor_config", {**images, "image_processor_type": kind}, owner)
    if videos is not None:
        _write(path, "video_preprocessor_config", videos, owner)
    if own is not None:
        _write(path, "processor_config", own, owner)
    if picture is not None:
        (path / "chat_template.jinja").write_text(template(picture))
    return path


def _write(path: Path, name: str, fields: Mapping[str, Any], owner: str) -> None:
    content = {**fields, "processor_class": owner}
    (path / f"{name}.json").write_text(json.dumps(content, indent=2))
