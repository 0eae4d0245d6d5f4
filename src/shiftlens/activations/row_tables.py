"""``Row``: what a state came from; and the tables of a store that hold one for each state."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.places import ANEW, Kept

_SAMPLE = ("sample_id", "image", "prompt", "response", "labels")


@dataclass(frozen=True, slots=True)
class Row:
    """One kept state.

    Attributes:
        sample_id: of the sample.
        image: its first picture, or an empty string.
        prompt: what was asked.
        response: what was said.
        word: the word that the state is about, or an empty string.
        position: along the response; 0 is the last prompt position.
        labels: of the sample.
    """

    sample_id: str
    image: str
    prompt: str
    response: str
    word: str
    position: int
    labels: dict[str, Any]


@dataclass(frozen=True)
class RowTables:
    """The tables of a store, read file by file and only the columns that are asked for.

    Attributes:
        files: a table a part.
        states: how many states each of them is of, as the manifest has it.
    """

    files: tuple[Kept, ...]
    states: tuple[int, ...]

    def entries(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Every sample and occurrence in order, also those without a state.

        Raises:
            StoreError: a file is missing or damaged.
            MachineError: it is far away, and cannot be reached.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file in self.files:
            path = file.here()
            try:
                with pq.ParquetFile(path) as table:
                    found = table.read(columns=list(names))
            except (OSError, ValueError, pa.ArrowException) as error:
                raise StoreError(f"{file} is missing or damaged ({error})", remedy=ANEW) from error
            absent = sorted(set(names) - set(found.column_names))
            if absent and found.num_rows:
                wrong = f"{file} is missing or damaged (it has no column {absent[0]!r})"
                raise StoreError(wrong, remedy=ANEW)
            yield from found.to_pylist()

    def rows(self) -> Iterator[Row]:
        """One row for each state, in their order. Rows of one sample share what is the sample's.

        Raises:
            StoreError: a file is missing or damaged, or not of as many states as its shard.
        """
        for file, n in zip(self.files, self.states, strict=True):
            found = 0
            try:
                for row in RowTables((file,), (n,))._rows():
                    found += 1
                    yield row
            except (TypeError, KeyError, ValueError) as error:
                if isinstance(error, StoreError):
                    raise
                raise StoreError(f"{file} is missing or damaged ({error})", remedy=ANEW) from error
            if found != n:
                raise StoreError(
                    f"{file} is a table of {found} states, and its shard has {n}",
                    remedy=f"see what is wrong: shiftlens store verify {file.folder}",
                )

    def _rows(self) -> Iterator[Row]:
        seen: tuple[str, ...] = ()
        texts, labels = ("", "", "", ""), dict[str, Any]()
        for entry in self.entries((*_SAMPLE, "word", "position", "state")):
            if entry["state"] is None:
                continue
            found = tuple(entry[name] for name in _SAMPLE)
            if found != seen:
                seen, (sample, image, prompt, response, text) = found, found
                texts, labels = (sample, image, intern(prompt), response), json.loads(text)
            yield Row(*texts, intern(entry["word"]), entry["position"], labels)
