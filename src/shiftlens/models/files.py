"""Where a model's files are: a local directory, a name that a package offers, an id on the hub."""

import json
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import digest
from shiftlens.data.sources import provided_model

_SETTINGS = ["*.json", "*.jinja", "*.model", "*.txt"]
_WEIGHTS = ["*.safetensors"]


def locate(
    name: str, revision: str | None, *, settings_only: bool = False
) -> tuple[Path, str | None]:
    """Find the files of a model or an adapter; what is on the hub is downloaded once.

    Args:
        name: a directory, ``package:name``, or an id on the hub.
        revision: branch, tag or commit on the hub.
        settings_only: leave the weights on the hub: what a model is can be told without them.

    Returns:
        the directory, and the commit if the files come from the hub.

    Raises:
        DataError: there is nothing of that name here, and the hub has none or is out of reach.
    """
    directory = Path(provided_model(name)).expanduser()
    if directory.is_dir():
        return directory, None
    if directory.exists():
        raise DataError(
            f"{name} is a file", allowed="the directory of a model, or an id on the hub"
        )
    return _download(name, revision, _SETTINGS if settings_only else [*_SETTINGS, *_WEIGHTS])


def signature_of_files(name: str) -> str | None:
    """Digest of names, sizes and times of a model's files as they lie here; none is opened.

    Args:
        name: as in ``locate``; of an id on the hub, what was downloaded last is meant.

    Returns:
        the digest, or ``None`` where there are no files here.
    """
    root = Path(provided_model(name)).expanduser()
    if not root.is_dir():
        cached = _cached(name)
        if cached is None:
            return None
        root = cached
    found = [(str(one.relative_to(root)), one.stat()) for one in sorted(root.rglob("*"))]
    return digest([name, [(path, stat.st_size, stat.st_mtime_ns) for path, stat in found]])


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in ("config.json", "adapter_config.json"):
        try:
            found = try_to_load_from_cache(name, file)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found).parent
    return None


def _download(name: str, revision: str | None, patterns: list[str]) -> tuple[Path, str | None]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise _unknown(name, "there is no such directory")
    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=["*/*", "consolidated*"],
            )
        )
    except HFValidationError as error:
        raise _unknown(name, "there is no such directory, and it is not an id") from error
    # The hub client reports a missing repository, no network and no permission under many names,
    # all of them OSErrors or errors of its HTTP library.
    except Exception as error:
        raise _unknown(name, f"no such directory, and the hub: {type(error).__name__}") from error
    return folder, folder.name if folder.parent.name == "snapshots" else revision


def _unknown(name: str, reason: str) -> DataError:
    return DataError(
        f"no model at {name} ({reason})",
        allowed="the directory of a model, or an id such as llava-hf/llava-1.5-7b-hf",
        remedy="check the spelling; without a network, download the model first",
    )


def read_config(directory: Path, file: str, name: str) -> dict[str, Any]:
    """A JSON file of a model directory.

    Raises:
        DataError: it is not JSON. A missing file is the caller's to explain.
    """
    try:
        content = json.loads((directory / file).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file} of {name} is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} of {name} is not a JSON object")
    return content


def require_weights(directory: Path, name: str, remedy: str) -> None:
    """Check that a directory holds readable safetensors, by opening the header of each.

    Raises:
        DataError: it holds none, or one that is damaged.
    """
    from safetensors import SafetensorError, safe_open

    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise DataError(
            f"{name} holds no weights in the safetensors format",
            allowed="*.safetensors; pickled weights (.bin, .pt) can run code and are never read",
            remedy=remedy,
        )
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise DataError(
                f"weights file {file.name} of {name} is damaged ({error})",
                remedy="download or save the model again",
            ) from error
