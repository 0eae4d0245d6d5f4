"""``Fields``: a JSON object from a file, read key by key, each held to its kind."""

import math
from collections.abc import Mapping
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.strict_json import shown

_LONGEST = 100_000
"""Letters of a text that is meant for people."""


class Fields:
    """A JSON object whose keys are taken one after the other; ``done`` refuses what is left.

    Args:
        value: what was read.
        where: for messages: "vector.json", "interventions[0] of steering.json".
    """

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise StoreError(f"{where} holds {shown(value)}", allowed="an object: {...}")
        self.where = where
        self._left: dict[str, Any] = dict(value)

    def take(self, key: str, *default: Any) -> Any:
        """Whatever stands there.

        Raises:
            StoreError: nothing does, and there is no default.
        """
        if key not in self._left and not default:
            raise StoreError(f"{self.where} has no {key!r}")
        return self._left.pop(key, *default)

    def text(self, key: str, *default: str) -> str:
        """A text without control characters, which a terminal would obey.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key, *default)
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise self.wrong(key, value, f"a text of at most {_LONGEST} letters")
        if any(ord(letter) < 32 and letter not in "\n\t" for letter in value):
            raise self.wrong(key, value, "a text without control characters")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts.

        Raises:
            StoreError: missing, or something else.
        """
        return tuple(Fields({key: one}, self.where).text(key) for one in self.items(key))

    def number(self, key: str) -> float:
        """A finite number.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, value, "a number")
        if not math.isfinite(value):
            raise self.wrong(key, value, "a finite number")
        return float(value)

    def whole(self, key: str, lowest: int = 0, highest: int = 2**31) -> int:
        """A whole number.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise self.wrong(key, value, f"a whole number from {lowest} to {highest}")
        return value

    def wholes(self, key: str, lowest: int = 0) -> tuple[int, ...]:
        """A list of whole numbers.

        Raises:
            StoreError: missing, or something else.
        """
        found = self.items(key)
        return tuple(Fields({key: one}, self.where).whole(key, lowest) for one in found)

    def flag(self, key: str, *default: bool) -> bool:
        """True or false.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key, *default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def items(self, key: str, *default: list[Any]) -> list[Any]:
        """A list.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key, *default)
        if not isinstance(value, list):
            raise self.wrong(key, value, "a list")
        return value

    def object(self, key: str, *default: dict[str, Any]) -> dict[str, Any]:
        """An object whose keys are nobody's business: provenance.

        Raises:
            StoreError: missing, or something else.
        """
        value = self.take(key, *default)
        if not isinstance(value, dict):
            raise self.wrong(key, value, "an object")
        return value

    def inner(self, key: str) -> "Fields":
        """An object whose keys are taken one by one.

        Raises:
            StoreError: missing, or something else.
        """
        return Fields(self.take(key), f"{key} of {self.where}")

    def done(self) -> None:
        """Refuse keys that nobody took: they would be lost.

        Raises:
            StoreError: there are some.
        """
        if self._left:
            raise StoreError(
                f"{self.where} has {shown(next(iter(self._left)))}, which nothing reads",
                remedy="read it with the version of shiftlens that wrote it",
            )

    def wrong(self, key: str, value: Any, allowed: str) -> StoreError:
        """The error of a value that is not what it should be."""
        return StoreError(f"{key!r} of {self.where} is {shown(value)}", allowed=allowed)
