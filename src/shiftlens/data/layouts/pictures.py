"""Finding the folder that a data set's pictures lie in."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from shiftlens.core.errors import DataError

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
        DataError: there is no such folder, none of the pictures is in any of them, or the name of
            one leads out of it.
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
    outside = [name for name in wanted if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside or any("\0" in name for name in wanted):
        raise DataError(
            f"the picture {(outside or wanted)[0]!r:.80} is not inside the data set's folder",
            allowed="names of pictures, or paths inside the folder",
        )
    for place in places:
        if not wanted or any((place / name).is_file() for name in wanted):
            return place
    raise DataError(
        f"no picture of {len(wanted)} is in {', '.join(map(str, looked))}",
        allowed=f"files like {wanted[0]}",
        remedy="put the pictures there, or say where they are: folder=...",
    )
