"""What captions say: shares of whole words, and CIDEr-D (Vedantam et al. 2015)."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.steering.outcomes import says, share, words_of

_LONGEST = 4  # n-grams of one to four words
_SIGMA = 6.0  # of the Gaussian length penalty, in words
_SCALE = 10.0

Ngram = tuple[str, ...]


def saying(captions: Sequence[str], words: Collection[str]) -> list[bool]:
    """For each caption whether it says one of the words, whole and in any letter case.

    Raises:
        SteeringError: there are no words, or a blank one.
    """
    if isinstance(words, str) or not words or not all(word.strip() for word in words):
        raise SteeringError(
            f"{words!r} are no words to look for", allowed='words like ["beach", "forest"]'
        )
    return [says(caption, words) for caption in captions]


def word_shares(captions: Sequence[str], words: Collection[str]) -> dict[str, Interval]:
    """Share of the captions that say each word, with Wilson's interval; they may overlap.

    Raises:
        SteeringError: as ``saying``, or there are no captions.
    """
    saying([], words)  # refuses words that are none
    return {word: share(saying(captions, [word])) for word in words}


@dataclass(frozen=True)
class _Caption:
    """N-gram counts of each order, and how many words there are."""

    grams: tuple[Counter[Ngram], ...]
    length: int


class CiderD:
    """CIDEr-D against one set of references, for as many runs of a model as there are.

    The weights of n-grams come from these references alone, so that two runs over the same pictures
    are on one scale and can be compared caption by caption. Scores go from 0 to 10; another set of
    pictures is another scale.

    Args:
        references: for each picture its reference captions, at least one.
        tokenise: from a caption to its words. The default lowers case and leaves out marks.
            Published figures were made with tokens of the Penn Treebank tokeniser: to reproduce
            one, pass texts that it has cut and ``str.split``.

    Raises:
        SteeringError: a picture has no reference, or there are fewer than two pictures: every
            n-gram of a single one is in all pictures and weighs nothing.
    """

    def __init__(
        self,
        references: Sequence[Sequence[str]],
        *,
        tokenise: Callable[[str], list[str]] = words_of,
    ) -> None:
        if len(references) < 2:
            raise SteeringError(
                f"CIDEr-D over {len(references)} pictures: its weights need a corpus",
                allowed="references of two pictures or more",
            )
        for index, texts in enumerate(references):
            if not texts or isinstance(texts, str):
                raise SteeringError(
                    f"picture {index} has no list of references", allowed='["a dog runs", ...]'
                )
        self._tokenise = tokenise
        self._references = [[_read(tokenise(text)) for text in texts] for texts in references]
        pictures = Counter[Ngram]()
        for captions in self._references:
            pictures.update({gram for one in captions for grams in one.grams for gram in grams})
        self._pictures = pictures
        self._log_n = math.log(len(references))
        self._norms = [[self._norm(one) for one in captions] for captions in self._references]

    def per_caption(self, captions: Sequence[str]) -> tuple[float, ...]:
        """Score of each caption, from 0 to 10.

        Args:
            captions: one for each picture, in the order of the references.

        Raises:
            SteeringError: there is not one caption for each picture.
        """
        if len(captions) != len(self._references):
            raise SteeringError(
                f"{len(captions)} captions of {len(self._references)} pictures",
                allowed="one caption for each picture",
            )
        return tuple(self._score(index, text) for index, text in enumerate(captions))

    def corpus(self, captions: Sequence[str]) -> float:
        """The corpus' score: the mean over pictures.

        Its interval is that of a mean (``bootstrap_mean``) of ``per_caption``; the weights of
        n-grams count as fixed.
        """
        each = self.per_caption(captions)
        return sum(each) / len(each)

    def _score(self, index: int, text: str) -> float:
        said = _read(self._tokenise(text))
        norms = self._norm(said)
        total = 0.0
        for reference, others in zip(self._references[index], self._norms[index], strict=True):
            gap = said.length - reference.length
            alike = sum(
                self._alike(ours, theirs) / (norm * other)
                for ours, theirs, norm, other in zip(
                    said.grams, reference.grams, norms, others, strict=True
                )
                if norm > 0 and other > 0
            )
            total += alike * math.exp(-(gap**2) / (2 * _SIGMA**2))
        return _SCALE * total / (_LONGEST * len(self._references[index]))

    def _alike(self, ours: Counter[Ngram], theirs: Counter[Ngram]) -> float:
        """Inner product of weighted counts; what a caption repeats too often counts once only."""
        return sum(
            min(count, theirs[gram]) * theirs[gram] * self._weight(gram) ** 2
            for gram, count in ours.items()
            if gram in theirs
        )

    def _norm(self, caption: _Caption) -> list[float]:
        return [
            math.sqrt(sum((count * self._weight(gram)) ** 2 for gram, count in grams.items()))
            for grams in caption.grams
        ]

    def _weight(self, gram: Ngram) -> float:
        """Inverse document frequency; an n-gram that no reference holds counts as in one."""
        return self._log_n - math.log(max(1, self._pictures[gram]))


def cider_d(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenise: Callable[[str], list[str]] = words_of,
) -> tuple[float, ...]:
    """CIDEr-D of each caption; see ``CiderD``, which is faster for several runs."""
    return CiderD(references, tokenise=tokenise).per_caption(captions)


def _read(words: Sequence[str]) -> _Caption:
    orders = range(1, _LONGEST + 1)
    return _Caption(tuple(Counter(_ngrams(words, n)) for n in orders), len(words))


def _ngrams(words: Sequence[str], n: int) -> Iterable[Ngram]:
    return (tuple(words[start : start + n]) for start in range(len(words) - n + 1))
