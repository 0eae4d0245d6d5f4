"""Text of models and users on a terminal: nothing in it can move the cursor or turn the line."""

import unicodedata
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

_REPLACED = "\N{REPLACEMENT CHARACTER}"
_STEERS = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # controls, direction marks, surrogates
_JOINS = frozenset("\u200c\u200d")  # parts of letters and of emoji


def plain(text: str) -> str:
    """One line without controls: blanks for line ends and tabs, a mark for what steers."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if one in "\n\r\t" else _harmless(one) for one in text)


def harmless(text: str) -> str:
    """The same lines without controls."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(one if one in "\n\t" else _harmless(one) for one in text)


def _harmless(letter: str) -> str:
    steers = unicodedata.category(letter) in _STEERS and letter not in _JOINS
    return _REPLACED if steers else letter


class Harmless(RenderHook):
    """Lets everything that is printed through without what steers a terminal.

    Colours are not in the text: they are added below it, and stay.
    """

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """What the console prints instead of each thing that it was given."""
        return [_Cleaned(one) for one in renderables]


class _Cleaned:
    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for one in console.render(self._inner, options):
            yield one if one.control else Segment(harmless(one.text), one.style)
