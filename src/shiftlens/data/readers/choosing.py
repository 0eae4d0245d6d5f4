"""Which rows are kept: those that match, and of these the first ones or a seeded choice."""

import itertools
import json
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeVar

from shiftlens.core.errors import DataError
from shiftlens.data.readers.row import absent

T = TypeVar("T")


class Where:
    """A condition on columns: each of them has the value, or one of the values, that it names.

    Values are compared as texts, as CSV has them: ``3`` matches ``"3"``, ``True`` ``"true"``.

    Args:
        wanted: a value, or a list, tuple or set of values, for each column; ``None`` for all rows.

    Raises:
        DataError: it is no mapping, or names a column with an empty list of values.
    """

    def __init__(self, wanted: Mapping[str, Any] | None = None) -> None:
        if wanted is not None and not isinstance(wanted, Mapping):
            raise DataError(
                f"where is {wanted!r:.60}", allowed='a mapping: {"answer_type": "number"}'
            )
        self._wanted = {
            name: {_text(one) for one in value}
            if isinstance(value, (list, tuple, set, frozenset))
            else {_text(value)}
            for name, value in (wanted or {}).items()
        }
        empty = [name for name, values in self._wanted.items() if not values]
        if empty:
            raise DataError(f"where names no value of {empty[0]}", allowed="one or more")

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these values is wanted; a column that it lacks matches nothing."""
        return all(
            name in values and _text(values[name]) in wanted
            for name, wanted in self._wanted.items()
        )

    def check(self, seen: Mapping[str, Any], source: str) -> None:
        """Refuse a condition on a column that no row had.

        Raises:
            DataError: there is one; the message says which columns exist.
        """
        lost = [name for name in self._wanted if name not in seen]
        if lost:
            raise absent("where", ", ".join(lost), source, seen)

    def nothing(self, example: Mapping[str, Any], source: str) -> DataError:
        """The error of a condition that no row fulfils.

        Args:
            example: the values of some row.
            source: the file.
        """
        shown = [f"{name} {_text(example[name])!r:.40}" for name in self._wanted if name in example]
        return DataError(
            f"no row of {source} is what where asks for",
            allowed="its first row has " + ", ".join(shown) if shown else "",
        )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, default=str)


def chosen(
    rows: Callable[[], Iterator[T]],
    limit: int | None,
    seed: int | None,
    scan: Callable[[], Iterator[Any]] | None = None,
) -> Generator[T]:
    """The first rows, or with a seed a random choice of them, in their order.

    The choice is that of ``Samples.take``. The rows are gone through twice for it, once to count
    them: so it is the same whether the whole was read before or not, and no other row is held.

    Args:
        rows: begins anew at every call.
        limit: how many at most; ``None`` for all.
        seed: of the choice; ``None`` for the first ones.
        scan: as many rows, got more cheaply, for counting.
    """
    if limit is None or seed is None:
        yield from itertools.islice(rows(), limit)
        return
    total = sum(1 for _ in (scan or rows)())
    kept = set(random.Random(seed).sample(range(total), limit)) if total > limit else range(total)
    yield from (row for index, row in enumerate(rows()) if index in kept)
