"""From the rows of a table to samples: filtered, chosen, and no id twice."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.choosing import Where, chosen
from shiftlens.data.readers.columns import Columns, missing
from shiftlens.data.readers.row import Row
from shiftlens.data.sample import Sample


@dataclass(frozen=True)
class Source:
    """A table, and how it is to be understood.

    Attributes:
        rows: gives its rows, from the first one at every call.
        columns: what they mean.
        folder: what paths of pictures are relative to.
        name: for messages.
        regular: whether every row has every column, so that the first one tells them all.
        scan: the same rows with ``None`` for every value of bytes, where that is cheaper.
    """

    rows: Callable[[], Iterator[Row]]
    columns: Columns
    folder: Path
    name: str
    regular: bool
    scan: Callable[[], Iterator[Row]] | None = None


def collect(
    source: Source, *, prompt: str | None, where: Where, limit: int | None, seed: int | None
) -> list[Sample]:
    """The samples of a table, in its order; rows that are not kept are not held.

    Args:
        source: the table.
        prompt: asked in place of the rows' own.
        where: which rows count.
        limit: how many at most.
        seed: of a random choice; ``None`` for the first ones.

    Raises:
        DataError: no row matches, two have one id, a column is named that no row has, or a row is
            malformed.
    """
    samples: list[Sample] = []
    places: dict[str, str] = {}
    kept = chosen(
        lambda: _matching(source, where, source.rows),
        limit,
        seed,
        lambda: _matching(source, where, source.scan or source.rows),
    )
    with closing(kept):  # the file is closed at once, also where a row is refused
        for row in kept:
            sample = source.columns.sample(row, source.folder, prompt)
            if sample.id in places:
                raise DataError(
                    f"two samples have the id {sample.id!r}: {places[sample.id]} and {row.where}",
                    remedy="give every row an id of its own",
                )
            places[sample.id] = row.where
            samples.append(sample)
    return samples


def _matching(source: Source, where: Where, rows: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    seen: dict[str, Any] = {}  # every column, with its value in the first row that has it
    kept = 0
    for row in rows():
        values = row.values
        labels = values.get("labels")
        known = {**labels, **values} if isinstance(labels, dict) else values
        first = not seen
        seen = {**known, **seen} if known.keys() - seen.keys() else seen
        if first and source.regular:
            _check(source, where, seen)
        if where.matches(known):
            kept += 1
            yield row
    if seen:
        _check(source, where, seen)
        if not kept:
            raise where.nothing(seen, source.name)


def _check(source: Source, where: Where, seen: dict[str, Any]) -> None:
    missing(source.columns.names, seen, source.name)
    where.check(seen, source.name)
