"""Saved concepts as a person names them: without an ending, with one, or by their directory."""

from pathlib import Path

from shiftlens.core.errors import StoreError

_NAME = "concepts"  # what ``learn`` calls them inside its directory


def concepts_at(named: str | Path) -> Path:
    """The path without an ending that ``Concepts.load`` takes.

    Args:
        named: ``runs/concepts/concepts``, the same with ``.json`` or ``.safetensors``, or the
            directory ``runs/concepts``.

    Raises:
        StoreError: no concepts are there.
    """
    path = Path(named).expanduser()
    stem = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    if not _json(stem).is_file() and path.is_dir():
        stem = path / _NAME
    if not _json(stem).is_file():
        wrong = f"{named} holds no concepts" if path.exists() else f"{_json(stem)} does not exist"
        raise StoreError(
            wrong,
            allowed="what learn saved: its directory, or its files without their ending",
            remedy="make them: shiftlens learn STORE -o DIR",
        )
    return stem


def _json(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.json")
