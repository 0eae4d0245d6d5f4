"""Whether what was printed is what a page shows: words to the letter, numbers about the same."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?")
_LEFT_OUT = "..."
RELATIVE, ABSOLUTE = 0.05, 0.02
"""Numbers may differ by a twentieth, or by two hundredths: other machines round otherwise."""


def first_difference(shown: str, said: str) -> str:
    """What a page shows and was not printed, in one line; nothing where all of it was.

    Args:
        shown: the page's block; a line ``...`` stands for any lines.
        said: what was printed.
    """
    rest = _lines(said)
    anywhere = False
    for line in _lines(shown):
        if line == _LEFT_OUT:
            anywhere = True
            continue
        at = next((i for i, one in enumerate(rest) if alike(line, one)), None)
        if at is None or (at > 0 and not anywhere):
            return f"shown: {line!r}; printed: {rest[0] if rest else ''!r}"
        rest, anywhere = rest[at + 1 :], False
    return "" if anywhere or not rest else f"printed and not shown: {rest[0]!r}"


def alike(shown: str, said: str) -> bool:
    """Whether two lines have the same words, and numbers that are about the same."""
    if _NUMBER.sub("#", shown) != _NUMBER.sub("#", said):
        return False
    pairs = zip(_numbers(shown), _numbers(said), strict=True)
    return all(abs(a - b) <= max(ABSOLUTE, RELATIVE * abs(a)) for a, b in pairs)


def _lines(text: str) -> list[str]:
    """Lines that say something, with single blanks."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _numbers(line: str) -> Sequence[float]:
    return [float(one.replace("−", "-")) for one in _NUMBER.findall(line)]
