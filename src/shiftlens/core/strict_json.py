"""JSON from strangers: what would be read in two ways, or would fill the memory, is refused.

Results are shared files. A reader that takes NaN, or the second of two equal keys, takes what
another reader would not; one that takes a million brackets has no stack left to say so.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError

MOST_BYTES = 64 * 2**20
"""Of a JSON file beside tensors; those of thousands of concepts with words have a few MiB."""

_DEEPEST = 64
_MOST_DIGITS = 20
_SHOWN = 60


def shown(value: object) -> str:
    """A value from a file, short enough to stand in a sentence."""
    # A text is cut before it is made printable: it may have millions of letters.
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def read_strict(path: Path, *, most: int = MOST_BYTES, finite: bool = True) -> Any:
    """What a JSON file says.

    Args:
        path: of the file.
        most: bytes that it may have.
        finite: refuse NaN and infinity; figures that could not be had are written as NaN.

    Raises:
        StoreError: it is missing, too large, or not JSON as ``parse_strict`` wants it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise StoreError(f"{path} does not exist") from error
    if len(data) > most:
        raise StoreError(f"{path} has more than {most} bytes of JSON", allowed=f"{most} at most")
    return parse_strict(data, str(path), finite=finite)


def parse_strict(data: bytes, name: str, *, finite: bool = True) -> Any:
    """What the bytes of a file say.

    Raises:
        StoreError: they are not JSON, name a key twice, hold NaN, a number that no float holds, a
            text that is not Unicode, or brackets more than 64 deep.
    """
    try:
        value = json.loads(
            data.decode(),
            parse_constant=_constant if finite else None,
            parse_float=_float if finite else None,
            parse_int=_int,
            object_pairs_hook=_object,
        )
        _require_flat(value)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{name} is not valid JSON ({_said(error)})") from error
    return value


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"brackets more than {_DEEPEST} deep"
    return str(error)[:200]


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:_SHOWN]} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found


def _require_flat(value: Any) -> None:
    """Refuse depth, and texts that cannot be written again; without recursion."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise ValueError(f"brackets more than {_DEEPEST} deep")


def _inside(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, str) and not value.isascii():
        value.encode()  # half a pair of surrogates passes the parser, and no writer
