"""Finding the folder that a data set's pictures lie in."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.rows import field

_SPLIT = re.compile(r"(?:train|val|test-dev|test)20\d\d")


def split_in(name: str) -> str | None:
    """The split that a file is named after: ``val2014`` of ``captions_val2014.json``."""
    found = _SPLIT.search(name)
    return found.group() if found else None


def beside(root: Path, split: str) -> list[Path]:
    """Where the pictures of a COCO split usually lie, seen from the folder of its files."""
    return [root / split, root / "images" / split, root / "Images" / "mscoco" / split]


def picture_folder(
    names: Iterable[str], folder: str | Path | None, usual: Sequence[Path], split: str = ""
) -> Path:
    """The folder that holds at least one of a data set's pictures.

    Single missing pictures are nobody's business here: harvesting sets them aside and counts them.

    Args:
        names: of the pictures.
        folder: where they are; it may hold a folder named like the split.
        usual: where to look if ``folder`` is ``None``.
        split: the split, if pictures lie in folders named like it.

    Returns:
        the first folder with a picture, as an absolute path; any, if no picture is asked for.

    Raises:
        DataError: there is no such folder, or none of the pictures is in any of them.
    """
    given = [] if folder is None else [Path(folder) / split, Path(folder)]
    looked = list(dict.fromkeys(place.resolve() for place in given or usual))
    places = [place for place in looked if place.is_dir()]
    if not places:
        raise DataError(
            f"there is no image folder at {', '.join(map(str, looked))}",
            remedy="put the pictures there, or say where they are: folder=...",
        )
    wanted = list(dict.fromkeys(names))
    for place in places:
        if not wanted or any(_is_file(place / name) for name in wanted):
            return place
    raise DataError(
        f"no picture of {len(wanted)} is in {', '.join(map(str, looked))}",
        allowed=f"files like {wanted[0]}",
        remedy="put the pictures there, or say where they are: folder=...",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def inner_name(row: dict[str, Any], key: str, where: str) -> str:
    """The name of a picture that a row gives: one that stays inside the data set's folder.

    Args:
        row: the row.
        key: of the name.
        where: the row's name for messages.

    Raises:
        DataError: it is missing, no text, absolute, or leads out of the folder.
    """
    name = field(row, key, str, where)
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise DataError(
            f"{where}: {key!r} is {name!r:.80}, which is not inside the data set's folder",
            allowed="names of pictures, or paths inside the folder",
        )
    return name
