"""Rows that Python already has: dictionaries, samples, and objects of ``datasets``."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.columnar import rows_of
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import json_values
from shiftlens.data.sample import Sample

_BATCH = 64


def given_rows(source: Iterable[Any]) -> Iterator[Row]:
    """The rows of an iterable of dictionaries or samples, or of a mapping from splits to such.

    Pictures of a data set of ``datasets`` are taken as they are stored, and not decoded.

    Raises:
        DataError: something in it is neither.
    """
    if not isinstance(source, Mapping):
        yield from _rows(source, "")
        return
    for split, rows in source.items():
        if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
            raise DataError(
                f"{split!r} does not hold rows", allowed="a mapping from splits to lists of rows"
            )
        for row in _rows(rows, f" of {split}"):
            yield row.of_split(str(split))


def _rows(source: Iterable[Any], of: str) -> Iterator[Row]:
    for number, given in enumerate(_undecoded(source), start=1):
        where = f"row {number}{of}"
        if isinstance(given, Sample):
            yield Row(where, number, {**asdict(given), "images": list(given.images)})
        elif isinstance(given, Mapping):
            yield Row(where, number, json_values(_checked(given, where)))
        else:
            raise DataError(
                f"{where} is a {type(given).__name__}",
                allowed="a dictionary, or a Sample",
                remedy='of a data frame of pandas: frame.to_dict("records")'
                if hasattr(source, "to_dict")
                else "",
            )


def _undecoded(source: Any) -> Iterable[Any]:
    """The rows of a data set of ``datasets`` with pictures as bytes and paths; others as given."""
    package = sys.modules.get("datasets")  # who has such an object has loaded it
    # Somebody's own module may have that name too.
    kinds = [getattr(package, name, None) for name in ("Dataset", "IterableDataset")]
    if not isinstance(source, tuple(one for one in kinds if isinstance(one, type))):
        return source
    if source.features is None:  # a generator's: nothing says what its rows are, nothing decodes
        return source
    return rows_of(source.with_format("arrow").iter(batch_size=_BATCH))


def _checked(given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for name, value in given.items():
        if hasattr(value, "getpixel"):  # a picture of Pillow's, without importing Pillow
            raise DataError(
                f"{where}: {name} is an opened picture",
                allowed="a path, or a list of paths",
                remedy="write the pictures to files, and give their paths",
            )
    return {str(name): value for name, value in given.items()}
