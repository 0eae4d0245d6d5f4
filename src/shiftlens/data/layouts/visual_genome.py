"""Visual Genome (Krishna et al. 2016): what people say about regions of pictures."""

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.layout import Layout, existing, finish, layouts
from shiftlens.data.layouts.pictures import picture_folder
from shiftlens.data.layouts.rows import by_number, field
from shiftlens.data.readers.json_arrays import array_rows
from shiftlens.data.sample import Sample, Samples

EACH = ("picture", "region")
"""What a sample may be."""

_FILE = re.compile(r"region_descriptions(?:_v\d+_\d+)?\.json")
_FOLDERS = ("VG_100K", "VG_100K_2")
_URL = re.compile(rf"/({'|'.join(_FOLDERS)})/(\d+\.jpg)$")


def read_visual_genome(
    path: str | Path,
    *,
    each: str = "picture",
    folder: str | Path | None = None,
    prompt: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Read the region descriptions of Visual Genome.

    The layout was compared with readers that others published, not with the files. It is assumed to
    be::

        region_descriptions.json    [{"id": 1, "regions": [{"region_id": 1382, "image_id": 1,
                                    "phrase": ..., "x": 421, "y": 57, "width": 82, "height": 139}]}]
        image_data.json             [{"image_id": 1, "width": 800, "height": 600,
                                    "url": "https://cs.stanford.edu/.../VG_100K_2/1.jpg"}]
        VG_100K/2.jpg               pictures lie in two folders; the url says in which,
        VG_100K_2/1.jpg             unless all were put into one

    with both folders beside the files or in ``images``. The first version calls a region's number
    ``id``. Ids are numbers of pictures, and so is the order. Labels are ``regions`` (the phrases,
    in the order of their ids and without space at their ends, blank ones left out), ``boxes``
    (``[x, y, width, height]`` of each, in pixels), and the picture's ``width`` and ``height``.
    Pictures that nobody described are passed over. The files are never held as a whole.

    Args:
        path: the folder, or the file of descriptions.
        each: what a sample is: a ``picture``, or one ``region`` of it: then the id is
            ``1/1382``, the phrase is the ``response``, and labels are ``phrase`` and ``box``.
        folder: what holds the two folders of pictures, or the pictures, if not beside the files.
        prompt: what to ask; descriptions answer no question of their own.
        limit: keep the first so many.

    Returns:
        the samples; pictures of single ones may be missing.

    Raises:
        DataError: there is no prompt, a file or the pictures are missing, a row is malformed or
            about a picture that ``image_data.json`` lacks, or no picture exists.
    """
    source = existing(path)
    if each not in EACH:
        raise DataError(f"no sample is a {each!r}", allowed=", ".join(EACH))
    if prompt is None:
        raise DataError(
            f"{path} holds descriptions without questions",
            remedy='say what to ask: prompt="Describe the picture."',
        )
    file = _descriptions(source)
    data = file.with_name("image_data.json")
    pictures = by_number(array_rows(data), "image_id", _picture)
    names = [one.name for one in pictures.values()]
    usual = [file.parent, file.parent / "images", *(file.parent / one for one in _FOLDERS)]
    place = picture_folder([*names, *(Path(one).name for one in names)], folder, usual)
    found = (
        (number, _samples(number, regions, pictures[number], place, each, prompt))
        for number, regions in _described(file, pictures)
    )
    # By number, and no more of them in memory than are kept.
    if limit is None:
        kept = sorted(found, key=_first)
    else:
        kept = heapq.nsmallest(max(limit, 1), found, key=_first)
    return finish([sample for _, samples in kept for sample in samples], source, limit)


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _samples(
    number: int,
    regions: Sequence["_Region"],
    shown: "_Picture",
    place: Path,
    each: str,
    prompt: str,
) -> list[Sample]:
    ref = str(_file(place, shown.name))
    if each == "region":
        return [one.sample(number, prompt, ref) for one in regions]
    labels = {
        "regions": [one.phrase for one in regions],
        "boxes": [list(one.box) for one in regions],
        "width": shown.width,
        "height": shown.height,
    }
    return [Sample(str(number), prompt, (ref,), labels=labels)]


@dataclass(frozen=True)
class _Picture:
    name: str  # VG_100K_2/1.jpg
    width: int
    height: int


@dataclass(frozen=True, order=True, slots=True)
class _Region:
    number: int
    phrase: str
    box: tuple[int, int, int, int]

    def sample(self, image: int, prompt: str, ref: str) -> Sample:
        labels = {"phrase": self.phrase, "box": list(self.box)}
        return Sample(f"{image}/{self.number}", prompt, (ref,), self.phrase, labels)


def _picture(row: dict[str, Any], where: str) -> _Picture:
    url = field(row, "url", str, where)
    found = _URL.search(url)
    if found is None:
        raise DataError(
            f"{where}: 'url' is {url!r:.80}", allowed="one that ends like VG_100K_2/1.jpg"
        )
    width, height = (field(row, name, int, where) for name in ("width", "height"))
    return _Picture("/".join(found.groups()), width, height)


def _described(
    file: Path, pictures: Mapping[int, _Picture]
) -> Iterator[tuple[int, tuple[_Region, ...]]]:
    """Number and regions of every picture that has some, in the order of the file."""
    places: dict[int, str] = {}
    for where, row in array_rows(file):
        number = field(row, "id" if "id" in row else "image_id", int, where)
        if number not in pictures:
            raise DataError(f"{where}: image_data.json has no picture {number}")
        if number in places:
            raise DataError(f"{where} repeats the id {number} of {places[number]}")
        places[number] = where
        given = enumerate(field(row, "regions", list, where), start=1)
        found = [_region(one, f"region {at} of {where}") for at, one in given]
        if kept := tuple(sorted(one for one in found if one.phrase)):
            yield number, kept


def _region(row: Any, where: str) -> _Region:
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object")
    number = field(row, "region_id" if "region_id" in row else "id", int, where)
    phrase = row.get("phrase")
    if not isinstance(phrase, str):
        raise DataError(f"{where}: 'phrase' is " + ("no text" if "phrase" in row else "missing"))
    x, y, width, height = (field(row, name, int, where) for name in ("x", "y", "width", "height"))
    return _Region(number, phrase.strip(), (x, y, width, height))


def _file(place: Path, name: str) -> Path:
    """A picture where its url says, or else in the other folder or in none, if it is there."""
    alone = Path(name).name
    usual = [place / name, *(place / one / alone for one in _FOLDERS), place / alone]
    return next((one for one in usual if one.is_file()), usual[0])


def _descriptions(source: Path) -> Path:
    if source.is_file():
        return source
    files = _files(source)
    if len(files) != 1:
        names = ", ".join(one.name for one in files)
        what = f"several files of descriptions: {names}" if files else "no file of descriptions"
        raise DataError(
            f"{source} holds {what}",
            allowed="one of these files as path" if files else "a file region_descriptions.json",
        )
    return files[0]


def _files(root: Path) -> list[Path]:
    return sorted(one for one in root.glob("region_descriptions*") if _FILE.fullmatch(one.name))


def _fits(path: Path) -> bool:
    return _FILE.fullmatch(path.name) is not None if path.is_file() else bool(_files(path))


layouts.register("visual_genome")(Layout(_fits, read_visual_genome, "read_visual_genome"))
