"""Rows that Python already has: dictionaries, samples, and objects of ``datasets``."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import json_values
from shiftlens.data.sample import Sample


def given_rows(source: Iterable[Any]) -> Iterator[Row]:
    """The rows of an iterable of dictionaries or samples, or of a mapping from splits to such.

    Raises:
        DataError: something in it is neither.
    """
    if not isinstance(source, Mapping):
        yield from _rows(source, "")
        return
    for split, rows in source.items():
        if isinstance(rows, str) or not isinstance(rows, Iterable):
            raise DataError(
                f"{split!r} does not hold rows", allowed="a mapping from splits to lists of rows"
            )
        for row in _rows(rows, f"{split}/"):
            yield Row(row.where, row.number, {"split": str(split), **row.values}, row.prefix)


def _rows(source: Iterable[Any], prefix: str) -> Iterator[Row]:
    for number, given in zip(itertools.count(1), source, strict=False):
        where = f"row {number}" + (f" of {prefix.rstrip('/')}" if prefix else "")
        if isinstance(given, Sample):
            values = {**asdict(given), "images": list(given.images)}
            yield Row(where, number, values, prefix)
        elif isinstance(given, Mapping):
            yield Row(where, number, json_values(_checked(given, where)), prefix)
        else:
            raise DataError(
                f"{where} is a {type(given).__name__}", allowed="a dictionary, or a Sample"
            )


def _checked(given: Mapping[Any, Any], where: str) -> dict[str, Any]:
    for name, value in given.items():
        if hasattr(value, "getpixel"):  # a picture of Pillow's, without importing Pillow
            raise DataError(
                f"{where}: {name} is an opened picture",
                allowed="a path, or a list of paths",
                remedy="write the pictures to files, and give their paths",
            )
    return {str(name): value for name, value in given.items()}
