"""Text files line by line: UTF-8, with or without a byte order mark, no line without end."""

from collections.abc import Iterator
from pathlib import Path

from shiftlens.core.errors import DataError

LONGEST = 64 * 2**20
"""Bytes of the longest line that is read: what is longer is no row, but a damaged file."""

_MARK = b"\xef\xbb\xbf"


def lines_of(path: Path, longest: int = LONGEST) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers from 1 and their ends; one of them is held at a time.

    Only a line feed ends a line: JSON may hold U+2028 and its kin unescaped inside a text.

    Args:
        path: the file.
        longest: bytes of the longest line that is allowed.

    Raises:
        DataError: the file cannot be opened; or, by its number, a line is too long or no UTF-8.
    """
    try:
        with path.open("rb") as stream:
            number = 0
            while raw := stream.readline(longest + 1):
                number += 1
                yield number, _text(raw, f"line {number} of {path.name}", longest, number == 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from error


def _text(raw: bytes, where: str, longest: int, first: bool) -> str:
    if len(raw) > longest:
        raise DataError(
            f"{where} is longer than {longest:,} bytes",
            allowed="one row a line",
            remedy="pictures belong into files beside it, not into the text",
        )
    try:
        return (raw.removeprefix(_MARK) if first else raw).decode("utf-8")
    except UnicodeDecodeError as error:
        wide = first and raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise DataError(
            f"{where} is not UTF-8 text "
            + ("but UTF-16" if wide else f"(byte {error.start + 1} of the line)"),
            remedy="save the file as UTF-8",
        ) from error
