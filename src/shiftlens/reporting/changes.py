"""Which words of an answer steering changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_FEW = 4  # words; answers this short are marked however much of them changed
_ALIKE = 0.3  # below this share of common words an answer counts as another one


@dataclass(frozen=True)
class Run:
    """Consecutive words of a text that are all changed, or all not."""

    text: str
    changed: bool


@dataclass(frozen=True)
class Compared:
    """Two answers word by word.

    Attributes:
        before: the first answer; changed words are those that the second one lacks.
        after: the second answer; changed words are new.
        verdict: ``same``, ``edited`` or ``rewritten``; in a rewritten answer no word is marked.
    """

    before: tuple[Run, ...]
    after: tuple[Run, ...]
    verdict: str


def compare_words(before: str, after: str) -> Compared:
    """Mark what differs between two answers; letter case and spacing do not count."""
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(
        None, [word.lower() for word, *_ in old], [word.lower() for word, *_ in new], autojunk=False
    )
    if matcher.ratio() == 1.0:
        return Compared(_plain(before), _plain(after), "same")
    if matcher.ratio() < _ALIKE and max(len(old), len(new)) > _FEW:
        return Compared(_plain(before), _plain(after), "rewritten")
    steps = matcher.get_opcodes()
    left = [(a, b, kind != "equal") for kind, a, b, _, _ in steps if b > a]
    right = [(c, d, kind != "equal") for kind, _, _, c, d in steps if d > c]
    return Compared(_runs(before, old, left), _runs(after, new, right), "edited")


Word = tuple[str, int, int]


def _words(text: str) -> Sequence[Word]:
    """Words with the place where they start and end; marks are words, so "dog." holds "dog"."""
    return [(m.group(), m.start(), m.end()) for m in re.finditer(r"[^\s.,;:!?]+|[.,;:!?]+", text)]


def _runs(
    text: str, words: Sequence[Word], parts: Sequence[tuple[int, int, bool]]
) -> tuple[Run, ...]:
    """The text cut into runs; what stands between two runs is kept as it was."""
    runs: list[Run] = []
    end = 0
    for first, last, changed in parts:
        start, stop = words[first][1], words[last - 1][2]
        if start > end:
            runs.append(Run(text[end:start], False))
        runs.append(Run(text[start:stop], changed))
        end = stop
    return tuple(runs)


def _plain(text: str) -> tuple[Run, ...]:
    return (Run(text, False),) if text else ()
