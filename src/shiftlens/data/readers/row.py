"""A row of a table: where it stands, and what is in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shiftlens.core.errors import DataError


@dataclass(frozen=True)
class Row:
    """One row, before anybody knows which column means what.

    Attributes:
        where: its name for messages: ``line 3 of data.jsonl``.
        number: which it is in its table, from 1; its id where it has none.
        values: what is in it, by column.
        prefix: of ids, where several tables are read as one (``train/``).
        folder: what its paths are relative to, where its table lies in a folder of its own.
    """

    where: str
    number: int
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    prefix: str = ""
    folder: Path | None = None

    def of_split(self, split: str) -> "Row":
        """The same row as one of several splits; a column ``split`` of its own is kept."""
        values = {"split": split, **self.values}
        return Row(self.where, self.number, values, f"{split}/", self.folder)


class Table(Protocol):
    """What reads one kind of file."""

    def __call__(self, path: Path, /) -> Iterator[Row]:
        """The rows of a file, one after another, none of them held.

        Raises:
            DataError: the file cannot be read, or a row is malformed.
        """
        ...


def absent(what: str, names: str, source: str, columns: Mapping[str, Any]) -> DataError:
    """The error of a column that is not there: it says which ones are.

    Args:
        what: what named the column: ``columns`` or ``where``.
        names: the column or columns that were named.
        source: the file.
        columns: those that exist.
    """
    return DataError(
        f"{what} names {names}, which {source} does not have",
        allowed=f"its columns: {', '.join(map(str, columns)) or 'none'}",
    )
