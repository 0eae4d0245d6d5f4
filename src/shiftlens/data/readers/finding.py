"""What a path or an object is, if it is a table, and how it is to be understood."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.collecting import Source
from shiftlens.data.readers.columns import OURS, Columns
from shiftlens.data.readers.folders import metadata_of, metadata_rows, shard_rows, shards_of
from shiftlens.data.readers.given import given_rows
from shiftlens.data.readers.hub import hub_data, is_of_hub
from shiftlens.data.readers.hugging_face import is_saved, saved_rows
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import tables

_HEAVY = ("parquet", "arrow")  # kinds of tables whose values of bytes need not be read
_SPOKEN = ("csv", "tsv")  # kinds of tables that hold nothing but texts


def table_at(
    path: Path, columns: Mapping[str, str] | None, unpack: str | Path | None
) -> Source | None:
    """The table that a file or folder is, if it is one; shards without pictures are not meant here.

    Args:
        path: the file or folder.
        columns: what was said about its columns.
        unpack: where pictures that stand in it are written to.

    Raises:
        DataError: what was said about columns is impossible.
    """
    if path.is_dir():
        return _folder(path, columns, unpack)
    kind = path.suffix.lower().lstrip(".")
    if kind not in tables.names():
        return None
    strict = kind == "jsonl" and columns is None
    rows: Callable[..., Iterator[Row]] = _strict if strict else tables.get(kind)
    meaning = Columns(
        columns or {},
        others=not strict,
        text=kind in _SPOKEN,
        leaves=kind == "jsonl",
        unpacked=_place(unpack),
    )
    file = path.resolve()  # the ending is that of the name: what it links to may have none
    scan = partial(rows, file, light=True) if kind in _HEAVY else None
    return Source(partial(rows, file), meaning, file.parent, file.name, kind != "jsonl", scan)


def _folder(
    path: Path, columns: Mapping[str, str] | None, unpack: str | Path | None
) -> Source | None:
    whole = path.resolve()
    if is_saved(whole):
        meaning = Columns(columns or {}, unpacked=_place(unpack))
        rows = partial(saved_rows, whole)
        return Source(rows, meaning, whole, whole.name, True, partial(rows, light=True))
    parts = metadata_of(whole)
    if not parts:
        return None
    text = any(part.file.suffix == ".csv" for part in parts)
    named = bool({"image", "images"} & (columns or {}).keys())
    meaning = Columns(columns or {}, text=text, unpacked=_place(unpack))
    rows = partial(metadata_rows, parts, named=named)
    return Source(rows, meaning, whole, f"the metadata of {whole.name}", False)


def shards_at(
    path: Path, columns: Mapping[str, str] | None, unpack: str | Path | None
) -> Source | None:
    """The table whose Parquet or Arrow files lie in a folder, if there are any.

    Args:
        path: the folder.
        columns: what was said about its columns.
        unpack: where pictures that stand in it are written to.
    """
    whole = path.resolve()
    parts = shards_of(whole)
    if not parts:
        return None
    meaning = Columns(columns or {}, unpacked=_place(unpack), apart=whole)
    rows = partial(shard_rows, parts)
    return Source(rows, meaning, whole, whole.name, True, partial(rows, light=True))


def table_given(
    source: Any, columns: Mapping[str, str] | None, unpack: str | Path | None
) -> Source:
    """Rows that Python has, or the name of a data set of the hub, as a table.

    Args:
        source: an iterable, or ``hf:owner/name``.
        columns: what was said about its columns.
        unpack: where pictures that stand in it are written to.

    Raises:
        DataError: it is nothing that has rows, or ``datasets`` cannot load it.
    """
    name = source if is_of_hub(source) else "what was given"
    held: Iterable[Any] = hub_data(source) if is_of_hub(source) else source
    if isinstance(held, (bytes, bytearray)) or not isinstance(held, Iterable):
        raise DataError(
            f"a {type(held).__name__} is not something that can be read",
            allowed="a path, or an iterable of dictionaries or samples",
        )
    if isinstance(held, Iterator):  # it cannot be begun anew
        held = list(held)
    meaning = Columns(columns or {}, leaves=True, unpacked=_place(unpack))
    return Source(partial(given_rows, held), meaning, Path(), name, False)


def _place(unpack: str | Path | None) -> Path | None:
    return None if unpack is None else Path(unpack).resolve()


def _strict(path: Path) -> Iterator[Row]:
    """Rows of JSONL whose keys are ours: a misspelt one would be a label that nobody meant."""
    for row in tables.get("jsonl")(path):
        if {"video", "videos"} & row.values.keys():
            raise DataError(
                f"{row.where} has a video, and videos are not supported",
                remedy="give frames of it as images",
            )
        unknown = sorted(set(map(str, row.values)) - set(OURS))
        if unknown:
            raise DataError(
                f"{row.where} has unknown keys: {', '.join(unknown)}",
                allowed=f"keys: {', '.join(sorted(OURS))}",
                remedy="put anything else under labels, or say what columns mean: columns={...}",
            )
        yield row
