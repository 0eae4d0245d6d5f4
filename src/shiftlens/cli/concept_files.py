"""Saved concepts as a person names them: without an ending, with one, or by their directory."""

from pathlib import Path

_NAME = "concepts"  # what ``learn`` calls them inside its directory


def concepts_at(named: str | Path) -> Path:
    """The path without an ending that ``Concepts.load`` takes.

    Args:
        named: ``runs/concepts/concepts``, the same with ``.json`` or ``.safetensors``, or the
            directory ``runs/concepts``.
    """
    path = Path(named).expanduser()
    if path.suffix in (".json", ".safetensors"):
        return path.with_suffix("")
    beside = path.with_name(f"{path.name}.json")
    return path / _NAME if path.is_dir() and not beside.is_file() else path
