"""The files of a model that say what it is: configuration and processor, never weights."""

from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.sources import provided_model
from shiftlens.models.files import read_config

_PATTERNS = ["*.json", "*.jinja", "*.model", "*.txt"]
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def locate_settings(name: str, revision: str | None) -> Path:
    """The directory of a model's settings; from the hub nothing else is downloaded.

    Args:
        name: a directory, ``package:name``, or an id on the hub.
        revision: branch, tag or commit on the hub.

    Raises:
        DataError: there is nothing of that name here, and the hub has none or is out of reach.
    """
    directory = Path(provided_model(name)).expanduser()
    if directory.is_dir():
        return directory
    if directory.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise _unknown(name, "there is no such directory")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=_PATTERNS, ignore_patterns=["*/*"]
            )
        )
    # The hub client reports a missing repository, no network and no permission under many names.
    except Exception as error:
        reason = f"no such directory, and the hub: {type(error).__name__}"
        raise _unknown(name, reason) from error


def _unknown(name: str, reason: str) -> DataError:
    return DataError(
        f"no model at {name} ({reason})",
        allowed="the directory of a model, or an id such as llava-hf/llava-1.5-7b-hf",
        remedy="check the spelling; without a network, download its settings first",
    )


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
