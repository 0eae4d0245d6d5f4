"""Which words and positions are worth a look: ranked by how far the models part there.

Only rows of the selection third come here. A site's rank is the mean divergence at it times the
share of answers that have it: nats an answer, so that neither a rare word with a large divergence
nor a common one with none comes first.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shiftlens.activations import tokens
from shiftlens.activations.selections.selection import Selection
from shiftlens.activations.survey import Answers
from shiftlens.activations.words.occurrences import find_words

Decode = Callable[[Sequence[int]], str]

FIRST, END = "first token", "end of the answer"

_WORD = re.compile(r"[^\W\d_]+")
_COMMON = 0.1  # share of answers that a site must be in to be ranked
_SAME_AS_FIRST = 0.9  # of a word's occurrences: then it is the first token under another name


@dataclass(frozen=True)
class Candidate:
    """A word or position, and how far the models part at it.

    Attributes:
        name: the word, ``first token`` or ``end of the answer``.
        is_word: whether it is a word.
        share: of the selection third's answers that have it.
        divergence: mean KL(base || tuned) at the state that emits it, in nats.
    """

    name: str
    is_word: bool
    share: float
    divergence: float

    @property
    def weight(self) -> float:
        """Nats an answer: what candidates are ranked by."""
        return self.share * self.divergence

    @property
    def selection(self) -> Selection:
        """The positions that a site of this candidate keeps."""
        if self.is_word:
            return tokens.word(self.name)
        return tokens.last_prompt() if self.name == FIRST else tokens.end_response()

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "name": self.name,
            "is_word": self.is_word,
            "share": self.share,
            "divergence": self.divergence,
            "weight": self.weight,
        }


def rank(rows: Sequence[Answers], decode: Decode) -> list[Candidate]:
    """Candidates, the one with the most nats an answer first.

    Args:
        rows: answers of the selection third; those without a divergence for lack of numbers are
            passed over.
        decode: from token ids to text, as the answers were decoded.
    """
    rows = [row for row in rows if row.finite]
    seen: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for word, place in _first_places(row, decode):
            seen.setdefault(word, []).append((place, row.divergence[place]))
    words = [
        _candidate(word, True, [value for _, value in found], len(rows))
        for word, found in seen.items()
        if float(np.mean([place == 0 for place, _ in found])) < _SAME_AS_FIRST
    ]
    first = [row.divergence[0] for row in rows if row.divergence]
    ends = [row.divergence[-1] for row in rows if not row.base.truncated and row.divergence]
    places = [_candidate(FIRST, False, first, len(rows)), _candidate(END, False, ends, len(rows))]
    common = [one for one in (*places, *words) if one.share >= _COMMON]
    return sorted(common, key=lambda one: (-one.weight, one.name))


def _candidate(name: str, is_word: bool, values: Sequence[float], n: int) -> Candidate:
    mean = float(np.mean(values)) if values else 0.0
    return Candidate(name, is_word, len(values) / n if n else 0.0, mean)


def _first_places(row: Answers, decode: Decode) -> Iterator[tuple[str, int]]:
    """Each word of an answer once, with the position of the state that emits it."""
    said = row.base
    words = list(dict.fromkeys(match.lower() for match in _WORD.findall(said.text)))
    taken: set[str] = set()
    for found in find_words(said.text, said.token_ids, decode, words):
        if found.word not in taken and found.first_token < len(row.divergence):
            taken.add(found.word)
            yield found.word, found.first_token
