"""Rows of JSON files, taken apart with errors that name the file and the row."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from shiftlens.core.errors import DataError
from shiftlens.data.readers.lines import lines_of

T = TypeVar("T")

_KINDS: dict[type[Any], str] = {
    str: "a text",
    int: "a whole number",
    list: "a list",
}


def load_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object.

    Raises:
        DataError: the file is missing, no UTF-8, no JSON, or no object.
    """
    loaded = _parsed(_text(path), path.name)
    if not isinstance(loaded, dict):
        raise DataError(f"{path.name} does not hold a JSON object", allowed="{...}")
    return cast(dict[str, Any], loaded)


def load_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSON lines file, each after its name for messages; empty lines are skipped.

    Raises:
        DataError: the file is missing or no UTF-8; or, by its line, a row is too long or no JSON
            object.
    """
    for number, line in lines_of(path):
        if line.strip():
            where = f"line {number} of {path.name}"
            row = _parsed(line, where)
            if not isinstance(row, dict):
                raise DataError(f"{where} is not a JSON object", allowed="one object a line")
            yield where, row


def rows_of(table: dict[str, Any], key: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of one list in a file, each after its name for messages.

    Raises:
        DataError: there is no such list, or a row is no object.
    """
    for number, row in enumerate(field(table, key, list, path.name), start=1):
        where = f"row {number} of {key} in {path.name}"
        if not isinstance(row, dict):
            raise DataError(f"{where} is not a JSON object")
        yield where, row


def field(row: dict[str, Any], key: str, kind: type[T], where: str) -> T:
    """One value of a row.

    Args:
        row: the row.
        key: of the value.
        kind: ``str``, ``int`` or ``list``. A text that is blank is none.
        where: the row's name for messages.

    Raises:
        DataError: it is missing or of another type.
    """
    value = row.get(key)
    blank = isinstance(value, str) and not value.strip()
    # To Python true and false are whole numbers; to a data set they are not.
    if not isinstance(value, kind) or isinstance(value, bool) or blank:
        if key in row:
            raise DataError(f"{where}: {key!r} is {value!r:.60}", allowed=_KINDS[kind])
        found = ", ".join(list(row)[:12]) or "nothing"
        raise DataError(f"{where}: {key!r} is missing", allowed=f"{_KINDS[kind]}; there is {found}")
    return value


def by_number(
    rows: Iterator[tuple[str, dict[str, Any]]], key: str, keep: Callable[[dict[str, Any], str], T]
) -> dict[int, T]:
    """Rows by their number, in ascending order.

    Args:
        rows: each after its name.
        key: of the number.
        keep: what is kept of a row, given the row and its name.

    Raises:
        DataError: a row has no number, or the number of an earlier one; both are named.
    """
    found: dict[int, T] = {}
    places: dict[int, str] = {}
    for where, row in rows:
        number = field(row, key, int, where)
        if number in found:
            raise DataError(f"{where} repeats the {key} {number} of {places[number]}")
        found[number], places[number] = keep(row, where), where
    return dict(sorted(found.items()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers or nesting beyond Python's limits
        raise DataError(f"{where} is not JSON ({error})") from error
