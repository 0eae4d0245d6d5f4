"""JSONL, CSV and TSV as rows; ``columnar`` adds Parquet and Arrow."""

import csv
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.registry import Registry
from shiftlens.data.readers.lines import lines_of
from shiftlens.data.readers.row import Row, Table

tables: Registry[Table] = Registry("kind of table")
"""Every kind of table by the ending of its files."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas"}


@tables.register("jsonl")
def jsonl_rows(path: Path) -> Iterator[Row]:
    """An object a line; empty lines count as lines and are passed over."""
    decode = json.JSONDecoder(object_pairs_hook=_once).decode
    for number, line in lines_of(path):
        if line.strip():
            where = f"line {number} of {path.name}"
            yield Row(where, number, _object(decode, line, where))


def _object(decode: Callable[[str], Any], line: str, where: str) -> dict[str, Any]:
    try:
        row = decode(line)
    except (ValueError, RecursionError) as error:  # also numbers or nesting beyond Python's limits
        remedy = "one object a line, without a list around them" if line[0] == "[" else ""
        raise DataError(f"{where} is not JSON ({error})", allowed=remedy) from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object")
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice")
    return found


@tables.register("csv")
def csv_rows(path: Path) -> Iterator[Row]:
    """Comma-separated texts below a line of column names; quoted ones may hold line ends."""
    return _separated(path, ",")


@tables.register("tsv")
def tsv_rows(path: Path) -> Iterator[Row]:
    """The same, separated by tabs."""
    return _separated(path, "\t")


def _separated(path: Path, delimiter: str) -> Iterator[Row]:
    reader = csv.reader((line for _, line in lines_of(path)), delimiter=delimiter, strict=True)
    number, names = 0, list[str]()
    try:
        for cells in reader:
            if not cells:
                continue
            if not names:
                names = _header(cells, path, delimiter)
                continue
            number += 1
            where = f"row {number} of {path.name} (to line {reader.line_num})"
            if len(cells) != len(names):
                raise DataError(
                    f"{where} has {len(cells)} cells",
                    allowed=f"{len(names)}, one for each of {', '.join(names)}",
                    remedy="texts that hold the separator or a line end belong into quotes",
                )
            yield Row(where, number, dict(zip(names, cells, strict=True)))
    except csv.Error as error:
        lone = "new-line character" in str(error)  # in Python's words, for those who open files
        raise DataError(
            f"line {reader.line_num} of {path.name}: "
            + ("lines end in a lone carriage return" if lone else str(error)),
            remedy="save the file with the line ends of Unix or Windows" if lone else "",
        ) from error


def _header(cells: Sequence[str], path: Path, delimiter: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    other = next((mark for mark in _SEPARATORS if mark in names[0] and mark != delimiter), None)
    if len(names) == 1 and other is not None:
        kinds = {",": "save it with commas", "\t": "save it with tabs"}
        raise DataError(
            f"{path.name} seems to be separated by {_SEPARATORS[other]}: its only column would be "
            f"{names[0]!r:.80}",
            allowed=f"{_SEPARATORS[delimiter]} in a file that ends in {path.suffix}",
            remedy="rename it to .tsv" if other == "\t" else kinds[delimiter],
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path.name} has two columns {twice[0]!r}")
    return names


def json_values(values: dict[str, Any]) -> dict[str, Any]:
    """Values as JSON has them: moments as texts, exact decimals as texts."""
    return {name: _json_value(value) for name, value in values.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return json_values(value)
    if isinstance(value, (list, tuple)):
        return [_json_value(one) for one in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if value is None or isinstance(value, (str, bool, int, float, bytes)):
        return value
    return str(value)
