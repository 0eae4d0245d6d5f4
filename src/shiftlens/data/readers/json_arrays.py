"""JSON files that hold one long list: their objects one by one, the list itself never held."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from shiftlens.core.errors import DataError
from shiftlens.data.readers.lines import LONGEST

_CHUNK = 2**20  # characters that are read at least


def array_rows(path: Path, longest: int = LONGEST) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSON list, each after its name for messages.

    Args:
        path: the file.
        longest: characters of the longest object that is allowed.

    Raises:
        DataError: the file is missing, no UTF-8, or no list; or, by its number, a row is no object,
            not JSON or too long.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            yield from _rows(_Text(stream, longest), path.name)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


class _Text:
    """What of a file has been read and not yet been understood."""

    def __init__(self, stream: TextIO, longest: int) -> None:
        self._stream, self._longest = stream, longest
        self._decode = json.JSONDecoder().raw_decode
        self._held, self._at = "", 0

    def mark(self) -> str:
        """The next character that is no space, and past it; empty at the end of the file."""
        while True:
            rest = self._held[self._at : self._at + 1]
            if not rest and not self._more():
                return ""
            if rest:
                self._at += 1
                if not rest.isspace():
                    return rest

    def back(self) -> None:
        """Before the last mark again."""
        self._at -= 1

    def value(self) -> Any:
        """The value that begins at the last mark, and past it.

        Raises:
            ValueError, RecursionError: there is none, or none of the length that is allowed.
        """
        while True:
            try:
                found, self._at = self._decode(self._held, self._at)
            except ValueError:
                if len(self._held) - self._at > self._longest or not self._more():
                    raise
            else:
                return found

    def _more(self) -> bool:
        """Read on, at least as much again as is held: a long value is begun anew seldom."""
        self._held, self._at = self._held[self._at :], 0
        read = self._stream.read(max(_CHUNK, len(self._held)))
        self._held += read
        return bool(read)


def _rows(text: _Text, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if text.mark() != "[":
        raise DataError(f"{name} does not hold a JSON list", allowed="[{...}, {...}]")
    number, mark = 0, text.mark()
    if mark == "]":
        return
    while True:
        number += 1
        where = f"row {number} of {name}"
        if mark != "{":
            raise DataError(f"{where} is not a JSON object" if mark else _cut(where))
        text.back()
        try:
            yield where, text.value()
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where} is not JSON ({error})") from error
        mark = text.mark()
        if mark == "]":
            return
        if mark != ",":
            raise DataError(_cut(where) if not mark else f"after {where} comes {mark!r}, no comma")
        mark = text.mark()


def _cut(where: str) -> str:
    return f"the list ends at {where}, unclosed: the file is cut off"
