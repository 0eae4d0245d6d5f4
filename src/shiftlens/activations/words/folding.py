"""Texts without letter case and without differences of spelling in Unicode, offsets kept.

Two texts are equal for a reader if their folded forms are (Unicode, D145: canonical caseless
matching): "STRASSE" and "straße", an "é" of one character and of two. Folding changes lengths, so
every folded character remembers which character of the original it came from.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_IGNORED = frozenset(
    "\u00ad\u061c\u200e\u200f\u2060\ufeff"  # soft hyphen, marks of direction, word joiner
    + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xFE00, 0xFE10))))
)
_SAME = str.maketrans({"’": "'", "ʼ": "'", "‘": "'", "＇": "'", "‐": "-", "‑": "-"})

DOTTED, DOTLESS, _DOT = "İ", "ı", "\u0307"


@dataclass(frozen=True)
class Folded:
    """A folded text.

    Attributes:
        text: without letter case, decomposed, marks in canonical order.
        origin: for each of its characters the index of the original's that it came from.
    """

    text: str
    origin: "range | tuple[int, ...]"


@lru_cache(maxsize=2048)
def fold(text: str, *, turkic: bool = False) -> Folded:
    """Fold a text.

    Args:
        text: of any script.
        turkic: pair I with ı and İ with i, as Turkish and Azeri do.
    """
    if text.isascii() and not turkic:
        return Folded(text.lower(), range(len(text)))
    pieces: list[tuple[str, int]] = []
    for index, character in enumerate(text):
        if character not in _IGNORED:
            pieces += ((one, index) for one in _folded(character, turkic))
    ordered = _in_canonical_order(pieces)
    if turkic:
        ordered = _without_dots(ordered)
    return Folded("".join(one for one, _ in ordered), tuple(index for _, index in ordered))


def needs_turkic(text: str) -> bool:
    """Whether a text holds a letter that pairs otherwise in Turkish."""
    return DOTTED in text or DOTLESS in text or "I" + _DOT in text


def is_ignored(character: str) -> bool:
    """Whether a character leaves no trace in a folded text."""
    return character in _IGNORED


@lru_cache(maxsize=8192)
def _folded(character: str, turkic: bool) -> str:
    if turkic and character in "Iİ":
        return "i" if character == DOTTED else DOTLESS
    plain = unicodedata.normalize("NFD", character.translate(_SAME)).casefold()
    return unicodedata.normalize("NFD", plain)


def _in_canonical_order(pieces: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Marks of one letter sorted by their class; the order in which they were typed is no matter.

    Folding letter by letter leaves just this undone, because marks may come from two of them.
    """
    ordered: list[tuple[str, int]] = []
    marks: list[tuple[str, int]] = []
    for piece in pieces:
        if unicodedata.combining(piece[0]):
            marks.append(piece)
            continue
        ordered += sorted(marks, key=lambda one: unicodedata.combining(one[0]))
        marks = []
        ordered.append(piece)
    return ordered + sorted(marks, key=lambda one: unicodedata.combining(one[0]))


def _without_dots(pieces: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """An I that was typed with its dot apart is the dotted one."""
    kept: list[tuple[str, int]] = []
    for character, index in pieces:
        if character == _DOT and kept and kept[-1][0] == DOTLESS:
            kept[-1] = ("i", kept[-1][1])
        else:
            kept.append((character, index))
    return kept
