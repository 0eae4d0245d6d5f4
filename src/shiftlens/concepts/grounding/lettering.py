"""Lines of text in pictures: measured, wrapped, cut with an ellipsis, never beyond their width."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import combining, normalize

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

INK, PALE = (28, 28, 30), (96, 96, 100)
_CUT = "…"
_UNASSIGNED = "\U000effff"


@dataclass(frozen=True)
class Lettering:
    """Text of one size.

    Attributes:
        size: height of the letters in pixels.
        font: a TrueType or OpenType file; Pillow's own font by default, which knows few letters
            beyond English. A letter that a font lacks is written without its accents (``a`` for
            an umlaut), or else as a box.
    """

    size: int = 14
    font: str | Path | None = None

    @property
    def line(self) -> int:
        """From one line to the next, in pixels."""
        return round(self.size * 1.35)

    def wrapped(self, text: str, width: int, *, n_lines: int = 2) -> list[str]:
        """Lines that are no wider than ``width``; what does not fit is cut with an ellipsis.

        Words longer than a line are broken within. Characters that end a line, or that are not
        printed at all, become spaces.
        """
        words = "".join(self._known(one) if one.isprintable() else " " for one in text).split()
        lines: list[str] = []
        while words and len(lines) < n_lines:
            line, words = self._line(words, width)
            lines.append(line)
        if words and lines:
            lines[-1] = self._cut(f"{lines[-1]} {words[0]}", width)
        return lines

    def draw(
        self,
        canvas: "ImageDraw",
        lines: list[str],
        at: tuple[int, int],
        *,
        colour: tuple[int, int, int] = INK,
    ) -> None:
        """Write lines from a place on downwards."""
        left, top = at
        for number, line in enumerate(lines):
            canvas.text((left, top + number * self.line), line, fill=colour, font=self._loaded)

    def width_of(self, text: str) -> float:
        """In pixels."""
        return float(self._loaded.getlength(text))

    @cached_property
    def _loaded(self) -> Any:
        from PIL import ImageFont

        if self.font is None:
            return ImageFont.load_default(self.size)
        return ImageFont.truetype(str(self.font), self.size)

    def _known(self, letter: str) -> str:
        """The letter; without its accents where the font has it only so."""
        if not self._lacks(letter):
            return letter
        plain = "".join(one for one in normalize("NFKD", letter) if not combining(one))
        return plain if plain and not any(map(self._lacks, plain)) else letter

    def _lacks(self, letter: str) -> bool:
        """Whether the font draws what it draws for a letter that no font has."""
        drawn, nothing = (self._loaded.getmask(one) for one in (letter, _UNASSIGNED))
        return not letter.isspace() and (drawn.size, bytes(drawn)) == (nothing.size, bytes(nothing))

    def _line(self, words: list[str], width: int) -> tuple[str, list[str]]:
        """As many words as fit, at least a piece of the first; and what is left."""
        line, rest = "", list(words)
        while rest and self.width_of(f"{line} {rest[0]}".strip()) <= width:
            line = f"{line} {rest.pop(0)}".strip()
        if line or not rest:
            return line, rest
        first = rest[0]
        n = max(
            (at for at in range(1, len(first)) if self.width_of(first[:at]) <= width), default=1
        )
        return first[:n], [one for one in (first[n:], *rest[1:]) if one]

    def _cut(self, text: str, width: int) -> str:
        while text and self.width_of(text + _CUT) > width:
            text = text[:-1]
        return text.rstrip() + _CUT
