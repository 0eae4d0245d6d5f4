"""The models that ship with the world, by name."""

from importlib.resources import files
from pathlib import Path

from shiftlens.core.errors import DataError

NAMES = ("base", "places", "colors", "moods", "judge")


def path(name: str) -> Path:
    """Directory of a shipped model.

    Args:
        name: ``base`` (LLaVA format), ``places``, ``colors``, ``moods`` (PEFT adapters for it), or
            ``judge`` (CLIP format).

    Raises:
        DataError: there is no such model, or it has not been trained in this checkout.
    """
    if name not in NAMES:
        raise DataError(f"the world has no model {name!r}", allowed=f"models: {', '.join(NAMES)}")
    folder = Path(str(files("shiftlens.world"))) / "models" / name
    if not folder.is_dir():
        raise DataError(f"the world's model {name!r} is missing", remedy="train it: make world")
    return folder
