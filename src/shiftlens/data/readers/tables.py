"""JSONL, CSV, TSV and Parquet as rows."""

import csv
import datetime
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.registry import Registry
from shiftlens.data.readers.lines import lines_of
from shiftlens.data.readers.row import Row, Table

tables: Registry[Table] = Registry("kind of table")
"""Every kind of table by the ending of its files."""

_BATCH = 256  # rows of a Parquet file that are held at a time


@tables.register("jsonl")
def jsonl_rows(path: Path) -> Iterator[Row]:
    """An object a line; empty lines count as lines and are passed over."""
    for number, line in lines_of(path):
        if line.strip():
            where = f"line {number} of {path.name}"
            yield Row(where, number, _object(line, where))


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # also numbers or nesting beyond Python's limits
        raise DataError(f"{where} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object")
    return row


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
                names = _header(cells, path)
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
        raise DataError(f"line {reader.line_num} of {path.name}: {error}") from error


def _header(cells: Sequence[str], path: Path) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path.name} has two columns {twice[0]!r}")
    return names


@tables.register("parquet")
def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file; columns of bytes are left out, for they are no texts."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number} of {path.name}", number, json_values(values))
    except (ArrowException, OSError) as error:
        raise DataError(f"{path} is not a Parquet file that can be read ({error})") from error


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
