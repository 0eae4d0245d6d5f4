"""Parquet and Arrow files as rows, a few of them held at a time."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import json_values, tables

_BATCH, _HEAVY = 256, 16  # rows that are held at a time, without and with values of bytes
_FILE = b"ARROW1"  # how an Arrow file begins that is no stream


@tables.register("parquet")
def parquet_rows(path: Path, *, light: bool = False) -> Iterator[Row]:
    """The rows of a Parquet file.

    Args:
        path: the file.
        light: give ``None`` for every value that holds bytes, without reading it.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path, pre_buffer=False) as file:  # which would hold every row group
            schema = file.schema_arrow
            heavy = heavy_columns(schema)
            kept = [name for name in schema.names if not (light and name in heavy)]
            size = _HEAVY if heavy and not light else _BATCH
            if kept:
                given = rows_of(file.iter_batches(batch_size=size, columns=kept))
            else:
                given = ({} for _ in range(file.metadata.num_rows))
            absent = dict.fromkeys(heavy) if light else {}
            for number, values in enumerate(given, start=1):
                yield Row(f"row {number} of {path.name}", number, {**absent, **values})
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a Parquet file that can be read ({error})") from error


@tables.register("arrow")
def arrow_rows(path: Path, *, light: bool = False) -> Iterator[Row]:
    """The rows of an Arrow file, of either kind: a stream, as ``datasets`` writes, or a file.

    Args:
        path: the file.
        light: give ``None`` for every value that holds bytes, without copying it.
    """
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            whole = source.size() > len(_FILE) and source.read_at(len(_FILE), 0) == _FILE
            reader = pa.ipc.open_file(source) if whole else pa.ipc.open_stream(source)
            absent = dict.fromkeys(heavy_columns(reader.schema)) if light else {}
            kept = [name for name in reader.schema.names if name not in absent]
            number = 0
            for batch in _batches(reader):
                given = rows_of([batch.select(kept)]) if kept else ({},) * batch.num_rows
                for values in given:
                    number += 1
                    yield Row(f"row {number} of {path.name}", number, {**absent, **values})
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not an Arrow file that can be read ({error})") from error


def _batches(reader: Any) -> Iterable[Any]:
    """Batches of a stream, or of a file, whose reader knows them by number."""
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(at) for at in range(reader.num_record_batches))
    return reader


def rows_of(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """The rows of batches, or of tables, as values of Python that JSON has, except for bytes."""
    for batch in batches:
        step = _HEAVY if heavy_columns(batch.schema) else _BATCH
        for start in range(0, batch.num_rows, step):
            yield from map(json_values, batch.slice(start, step).to_pylist())


def heavy_columns(schema: Any) -> list[str]:
    """Columns of a schema of Arrow's that hold bytes, at whatever depth.

    Raises:
        DataError: two columns have one name.
    """
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        raise DataError(f"a table has two columns {twice[0]!r}")
    return [one.name for one in schema if _holds_bytes(one.type)]


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return True
    return any(_holds_bytes(kind.field(at).type) for at in range(kind.num_fields))
