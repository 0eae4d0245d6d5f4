"""Whether a text is still language: what it repeats, how likely the unsteered model finds it."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, bootstrap
from shiftlens.steering.outcomes import words_of


def repeated_share(text: str, n: int = 3) -> float | None:
    """Share of a text's n-grams that it said before, from 0 to 1; ``None`` below ``n`` words.

    Raises:
        SteeringError: ``n`` is below 1.
    """
    grams = _ngrams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else None


def longest_run(text: str) -> int:
    """Longest immediate repetition of one word: 1 where none is repeated, 0 without words.

    ``black black black`` has 3; marks and letter case do not count.
    """
    return max((len(list(run)) for _, run in itertools.groupby(words_of(text))), default=0)


def distinct(texts: Sequence[str], n: int = 2) -> float | None:
    """Distinct n-grams of all texts over all their n-grams (Li et al. 2016), from 0 to 1.

    It has no interval: texts drawn twice, as a bootstrap does, have fewer distinct n-grams by
    nature. It falls with the number of texts: compare runs over the same samples only. ``None``
    where no text has ``n`` words.

    Raises:
        SteeringError: there are no texts, or ``n`` is below 1.
    """
    if not texts:
        raise SteeringError("no texts to count n-grams in", allowed="at least one text")
    grams = [gram for text in texts for gram in _ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else None


def perplexities(log_probabilities: Sequence[Sequence[float]]) -> list[float]:
    """Perplexity of each text under the model that gave the probabilities.

    Args:
        log_probabilities: for each text the natural logarithm of each of its tokens' probability
            given what stands before it.

    Raises:
        SteeringError: there are no texts, a text has no tokens, or a number is no logarithm of a
            probability above 0.
    """
    totals, counts = _totals(log_probabilities)
    return [math.exp(-total / count) for total, count in zip(totals, counts, strict=True)]


def perplexity_of(
    log_probabilities: Sequence[Sequence[float]], *, seed: int = 0, draws: int = 2000
) -> Interval:
    """Perplexity of all texts together, each token counting once; texts are resampled.

    Args:
        log_probabilities: see ``perplexities``.
        seed: of the bootstrap.
        draws: of the bootstrap.

    Raises:
        SteeringError: as ``perplexities``.
    """

    def pooled(totals: np.ndarray, counts: np.ndarray) -> float:
        return math.exp(-totals.sum() / counts.sum())

    return bootstrap(pooled, *_totals(log_probabilities), seed=seed, draws=draws)


def _totals(log_probabilities: Sequence[Sequence[float]]) -> tuple[list[float], list[int]]:
    """Sum and number of each text's log-probabilities."""
    if not log_probabilities:
        raise SteeringError("no texts to take the perplexity of", allowed="at least one text")
    for index, values in enumerate(log_probabilities):
        # A probability of 1 may come out a rounding error above it.
        if not len(values) or not all(-math.inf < value <= 1e-4 for value in values):
            raise SteeringError(
                f"text {index} has no tokens, or one whose log-probability is no number up to 0",
                allowed="natural logarithms of probabilities above 0, one for each token",
            )
    sums = [math.fsum(values) for values in log_probabilities]
    return sums, [len(values) for values in log_probabilities]


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    if n < 1:
        raise SteeringError(f"n-grams of {n} words", allowed="1 or more")
    words = words_of(text)
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
