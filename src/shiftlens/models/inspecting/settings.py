"""The files of a model that say what it is: configuration and processor, never weights."""

from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.models.files import read_config

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def read_family(where: Path, name: str) -> tuple[dict[str, Any], str]:
    """``config.json`` of a model and the ``model_type`` in it.

    Raises:
        DataError: there is none, or it is not JSON.
    """
    if not (where / "config.json").is_file():
        raise DataError(
            f"{name} is not a model directory: it holds no config.json",
            allowed="what transformers' save_pretrained writes",
        )
    content = read_config(where, "config.json", name)
    return content, str(content.get("model_type") or "")


def why_foreign(content: dict[str, Any], family: str) -> str:
    """Why a family is none that transformers registers for pictures and text; empty if it is."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as KNOWN,
    )

    if family in KNOWN:
        return ""
    if family in CONFIG_MAPPING:
        return f"it is not a model that reads pictures and writes text (model_type {family!r})"
    if content.get("auto_map"):
        return f"it needs code of its own, which is never run (model_type {family!r})"
    return f"transformers does not know its family (model_type {family!r})"


def why_unreadable(where: Path) -> str:
    """What is wrong with the weights of a directory, by the names of its files; empty if nothing.

    A directory without any weights is taken for one of settings alone.
    """
    pickled = any(next(where.glob(pattern), None) for pattern in _PICKLED)
    if pickled and next(where.glob("*.safetensors"), None) is None:
        return "its weights are pickled (.bin, .pt), which can run code: save them as safetensors"
    return ""
