"""Which words a model says often enough to be a token of interest."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftlens.activations.words.folding import fold
from shiftlens.activations.words.korean_particles import is_hangul, only_particles
from shiftlens.activations.words.matching import (
    find_matches,
    is_unspaced,
    pieces,
    split_words,
)
from shiftlens.activations.words.near_words import near_words
from shiftlens.activations.words.stop_words import is_grammar
from shiftlens.activations.words.token_reach import Decode, reach_of
from shiftlens.core.intervals import Interval, wilson
from shiftlens.models.model import Response

_NEAR = 4  # forms shown beside a word


@dataclass(frozen=True)
class SaidWord:
    """A word of content and how often it is said.

    Attributes:
        word: as it is written most often.
        occurrences: in all responses.
        samples: responses that say it.
        share: of the responses.
        near: words that may be other forms of it, the commonest first.
    """

    word: str
    occurrences: int
    samples: int
    share: Interval
    near: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "word": self.word,
            "occurrences": self.occurrences,
            "samples": self.samples,
            "share": self.share.to_dict(),
            "near": list(self.near),
        }


@dataclass
class _Tally:
    written: Counter[str] = field(default_factory=Counter[str])
    samples: set[int] = field(default_factory=set[int])


def said_words(
    said: Sequence[Response], decode: Decode, *, most: int = 10
) -> tuple[list[SaidWord], list[str]]:
    """Words of content in some responses, those in most responses first, and words of grammar.

    Scripts without spaces are cut as the model's own tokens cut them: no dictionary is needed, and
    what is no token is nothing the model decides at once.

    Args:
        said: responses of a model, one a sample.
        decode: from ids to text, as the responses were decoded.
        most: words that are given back, at most.

    Returns:
        the words, and the words of grammar that were left out, the commonest first.

    Raises:
        DataError: a response is not what its tokens decode to.
    """
    tallies: dict[str, _Tally] = {}
    for number, one in enumerate(said):
        for word in _words(one, decode):
            tally = tallies.setdefault(fold(word).text, _Tally())
            tally.written[unicodedata.normalize("NFC", word)] += 1
            tally.samples.add(number)
    _join_particles(tallies)
    ranked = sorted(tallies.items(), key=lambda one: (-len(one[1].samples), one[0]))
    content: list[_Tally] = []
    grammar: list[str] = []
    for key, tally in ranked:
        if is_grammar(key, tally.written.total(), len(tally.samples), len(said)):
            grammar.append(_spelling(tally))
        else:
            content.append(tally)
    texts = [one.text for one in said]
    return [_said_word(tally, texts) for tally in content[:most]], grammar


def count_words(said: Sequence[Response], words: Sequence[str]) -> list[SaidWord]:
    """How often words that are named are said, whatever kind of word they are; the commonest first.

    Args:
        said: responses of a model, one a sample.
        words: what to count; words that nobody says are left out.

    Raises:
        DataError: a word is blank.
    """
    texts, found = [one.text for one in said], list[SaidWord]()
    for word in dict.fromkeys(words):
        counts = [len(find_matches(text, [word])) for text in texts]
        samples = sum(map(bool, counts))
        if samples:
            share = wilson(samples, len(texts))
            found.append(SaidWord(word, sum(counts), samples, share, ()))
    return sorted(found, key=lambda one: -one.samples)


def _said_word(tally: _Tally, texts: Sequence[str]) -> SaidWord:
    word = _spelling(tally)
    near = [one.said for one in near_words(texts, [word]) if one.inflects and _is_word(one.said)]
    return SaidWord(
        word=word,
        occurrences=tally.written.total(),
        samples=len(tally.samples),
        share=wilson(len(tally.samples), len(texts)),
        near=tuple(near[:_NEAR]),
    )


def _spelling(tally: _Tally) -> str:
    """How a word is written most often; with the fewest capitals where that is a draw."""
    capitals = {word: sum(map(str.isupper, word)) for word in tally.written}
    return min(tally.written, key=lambda word: (-tally.written[word], capitals[word], word))


def _words(said: Response, decode: Decode) -> Iterator[str]:
    """Words of a response as they are written: letters and marks, two at least in an alphabet."""
    ends: Sequence[int] = ()
    if any(map(is_unspaced, said.text)):
        ends = reach_of(said.text, said.token_ids, decode).ends
    for start, end in split_words(said.text):
        for first, last in pieces(said.text, start, end, ends):
            piece = said.text[first:last]
            if is_unspaced(piece[0]) or len(piece) > 1:
                if _is_word(piece):
                    yield piece
            elif is_hangul(piece):
                yield piece


def _is_word(piece: str) -> bool:
    """Whether a piece is letters and marks, and begins with a letter."""
    kinds = [unicodedata.category(character)[0] for character in piece]
    return kinds[0] == "L" and set(kinds) <= {"L", "M"}


def _join_particles(tallies: dict[str, _Tally]) -> None:
    """Count Korean nouns without their particles, where a noun is seen with two of them or bare."""
    stems: dict[str, list[str]] = {}
    for key, tally in tallies.items():
        word = _spelling(tally)
        if not all(map(is_hangul, word)):
            continue
        stems.setdefault(word, []).append(key)
        for cut in range(1, len(word)):
            if only_particles(word[:cut], word[cut:]):
                stems.setdefault(word[:cut], []).append(key)
    # The longest stem first: what it takes is no longer there for a shorter one.
    for stem, keys in sorted(stems.items(), key=lambda one: -len(one[0])):
        there = [key for key in keys if key in tallies]
        if len(there) < 2:
            continue
        joined = _Tally()
        for key in there:
            tally = tallies.pop(key)
            joined.written[stem] += tally.written.total()
            joined.samples |= tally.samples
        tallies[fold(stem).text] = joined
