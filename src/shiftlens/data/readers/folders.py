"""Folders that are tables: pictures beside their ``metadata``, and shards of Parquet or Arrow."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shiftlens.core.errors import DataError
from shiftlens.data.images import SUFFIXES
from shiftlens.data.readers.columnar import arrow_rows, parquet_rows
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import tables

_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?")
_SPLIT = re.compile(r"(?:.*[-_.])?(train|validation|valid|val|dev|test)(?:[-_.]\d+)?")


@dataclass(frozen=True)
class Part:
    """One file of a folder that is read as a table.

    Attributes:
        file: where it is.
        split: which part of the data it holds; empty where nothing says so.
    """

    file: Path
    split: str


def metadata_of(path: Path) -> list[Part]:
    """The ``metadata`` of a folder of pictures, as ``datasets`` calls it, or one in each subfolder.

    Raises:
        DataError: a folder has two of them, or some subfolders have one and others only pictures.
    """
    if (own := _metadata(path)) is not None:
        return [Part(own, "")]
    inner = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    found = [(one, file) for one in inner if (file := _metadata(one)) is not None]
    bare = [one for one in inner if found and one not in dict(found) and _has_pictures(one)]
    if bare:
        raise DataError(
            f"{found[0][0]} has {found[0][1].name}, {bare[0]} has pictures and none",
            allowed="one in each subfolder with pictures, or in no subfolder",
            remedy="read the subfolders one by one, or put what belongs elsewhere elsewhere",
        )
    return [Part(file, one.name) for one, file in found]


def _has_pictures(path: Path) -> bool:
    return any(name.lower().endswith(SUFFIXES) for _, _, names in os.walk(path) for name in names)


def _metadata(path: Path) -> Path | None:
    found = [path / name for name in _METADATA if (path / name).is_file()]
    if len(found) > 1:
        raise DataError(f"{path} has {' and '.join(one.name for one in found)}", allowed="one")
    return found[0] if found else None


def metadata_rows(parts: Sequence[Part], *, named: bool) -> Iterator[Row]:
    """The rows of ``metadata``, whose ``file_name`` is a picture, ``file_names`` are several.

    Args:
        parts: the files.
        named: whether somebody says which column the pictures are.

    Raises:
        DataError: a file has neither column.
    """

    def rows(file: Path) -> Iterator[Row]:
        for row in tables.get(file.suffix[1:])(file):
            values = dict(row.values)
            if not named:
                _require_picture(row)
                for ours, theirs in (("image", "file_name"), ("images", "file_names")):
                    if theirs in values and not values.keys() & {"image", "images"}:
                        values[ours] = values[theirs]
            yield replace(row, values=values, folder=file.parent)

    return _joined(parts, rows)


def _require_picture(row: Row) -> None:
    if not row.values.keys() & {"file_name", "file_names", "image", "images"}:
        raise DataError(
            f"{row.where} has no file_name",
            allowed=f"its columns: {', '.join(row.values)}",
            remedy='say which column is the picture: columns={"image": ...} (--columns image=...)',
        )


def shards_of(path: Path) -> list[Part]:
    """The Parquet and Arrow files of a folder and its subfolders, sorted by split and name.

    A file ``test.parquet``, ``mine-test.arrow`` or ``test-00000-of-00003.parquet`` is of the split
    ``test``; any other is of that which is named before ``-00000-of-``, or else of its subfolder's.
    """
    found: list[Part] = []
    for folder, inner, names in os.walk(path):
        inner[:] = [one for one in inner if one[0] != "."]  # .cache of downloads
        files = [Path(folder, name) for name in names]
        found += [Part(one, _split_of(one, path)) for one in files if _is_shard(one)]
    return sorted(found, key=lambda one: (one.split, str(one.file)))


def _is_shard(file: Path) -> bool:
    # datasets keeps what map and filter gave as cache-<digest>.arrow beside the data.
    ours = file.suffix.lower() in (".parquet", ".arrow") and file.name[0] != "."
    return ours and not file.name.startswith("cache-") and file.is_file()


def _split_of(file: Path, root: Path) -> str:
    shard = _SHARD.fullmatch(file.stem)
    name = shard[1] if shard else file.stem
    if (usual := _SPLIT.fullmatch(name)) is not None:
        return usual[1]
    if shard:
        return name
    return file.parent.name if file.parent not in (root, root / "data") else ""


def shard_rows(parts: Sequence[Part], *, light: bool = False) -> Iterator[Row]:
    """The rows of shards, numbered through those of one split.

    Args:
        parts: the files.
        light: give ``None`` for every value that holds bytes.

    Raises:
        DataError: a file cannot be read, or has other columns than the first.
    """
    columns = set[str]()

    def rows(file: Path) -> Iterator[Row]:
        nonlocal columns
        read = parquet_rows if file.suffix.lower() == ".parquet" else arrow_rows
        for row in read(file, light=light):
            columns = columns or set(row.values)
            if row.number == 1 and columns != set(row.values):
                raise DataError(
                    f"{file.name} has other columns than {parts[0].file.name}",
                    allowed=f"{', '.join(sorted(columns))} in every file of a folder",
                    remedy="read one of the files, or put them into folders of their own",
                )
            yield row

    return _joined(parts, rows)


def _joined(parts: Sequence[Part], rows: Callable[[Path], Iterator[Row]]) -> Iterator[Row]:
    """The rows of several files; of several splits, ids begin with their names."""
    several = len({part.split for part in parts}) > 1
    number, before = 0, ""
    for part in parts:
        number = number if part.split == before else 0
        before = part.split
        for row in rows(part.file):
            number += 1
            row = replace(row, number=number)
            if not several:
                yield row
            else:
                where = f"{row.where} of {part.split}" if part.split else row.where
                yield replace(row, where=where).of_split(part.split or "rest")
