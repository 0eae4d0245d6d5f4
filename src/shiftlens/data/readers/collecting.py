"""From the rows of a table to samples: filtered, chosen, and no id twice."""

from collections.abc import Callable, Iterator
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
    """

    rows: Callable[[], Iterator[Row]]
    columns: Columns
    folder: Path
    name: str
    regular: bool


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
    for row in chosen(lambda: _matching(source, where), limit, seed):
        sample = source.columns.sample(row, source.folder, prompt)
        if sample.id in places:
            raise DataError(
                f"two samples have the id {sample.id!r}: {places[sample.id]} and {row.where}",
                remedy="give every row an id of its own",
            )
        places[sample.id] = row.where
        samples.append(sample)
    return samples


def _matching(source: Source, where: Where) -> Iterator[Row]:
    seen: dict[str, Any] = {}
    kept = 0
    for row in source.rows():
        values = row.values
        labels = values.get("labels")
        known = {**labels, **values} if isinstance(labels, dict) else values
        first = not seen
        seen.update(dict.fromkeys(known))
        if first and source.regular:
            _check(source, where, seen)
        if where.matches(known):
            kept += 1
            yield row
    if seen:
        _check(source, where, seen)
        if not kept:
            raise DataError(f"no row of {source.name} is what where asks for")


def _check(source: Source, where: Where, seen: dict[str, Any]) -> None:
    missing(source.columns.names, seen, source.name)
    where.check(seen, source.name)
