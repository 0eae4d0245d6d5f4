"""Which rows are kept: those that match, and of these the first ones or a seeded choice."""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
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
        DataError: a column with an empty list of values.
    """

    def __init__(self, wanted: Mapping[str, Any] | None = None) -> None:
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


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def chosen(rows: Callable[[], Iterator[T]], limit: int | None, seed: int | None) -> Iterator[T]:
    """The first rows, or with a seed a random choice of them, in their order.

    The choice is that of ``Samples.take``. The rows are gone through twice for it, once to count
    them: so it is the same whether the whole was read before or not, and no other row is held.

    Args:
        rows: begins anew at every call.
        limit: how many at most; ``None`` for all.
        seed: of the choice; ``None`` for the first ones.
    """
    if limit is None or seed is None:
        return itertools.islice(rows(), limit)
    total = sum(1 for _ in rows())
    if total <= limit:
        return rows()
    kept = set(random.Random(seed).sample(range(total), limit))
    return (row for index, row in enumerate(rows()) if index in kept)
