"""How much concepts repeat each other: words that two different ones have in common."""

from collections.abc import Mapping, Sequence

import numpy as np

from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import percentile


def word_overlap(words: WordLists) -> np.ndarray:
    """Share of the words of concept i that concept j has too: (k, k), 1 on the diagonal.

    Rows and columns of concepts without words are NaN.
    """
    sets = [frozenset(one) for one in words]
    table = np.full((len(sets), len(sets)), np.nan)
    for i, mine in enumerate(sets):
        for j, theirs in enumerate(sets):
            if mine and theirs:
                table[i, j] = len(mine & theirs) / len(mine)
    return table


def overlap(
    words: WordLists,
    *,
    name: str = "overlap of words",
    baselines: Mapping[str, Sequence[WordLists]] | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Figure:
    """Mean share of words that two different concepts have in common; lower is better.

    The mean over all ordered pairs (i, j), i not j, of words of i that j has too, divided by the
    words of i (Parekh et al. 2024, section 4). The interval is a bootstrap over concepts; a concept
    is never paired with its own copy. Concepts without words are left out and counted.

    Args:
        words: one list a concept.
        name: of the figure.
        baselines: lists of words that nobody learned ("random words"); several of one name are
            averaged. They are drawn independently, so the difference is not a paired one.
        seed: of the resampling.
        draws: resamples.

    Raises:
        LearnError: fewer than two concepts have words.
    """
    rng = np.random.default_rng(seed)
    estimate, drawn = _resampled(word_overlap(words), rng, draws)
    value = percentile(drawn, estimate)
    beside: list[Baseline] = []
    for key, lists in (baselines or {}).items():
        parts = [_resampled(word_overlap(one), rng, draws) for one in lists]
        other = float(np.mean([part[0] for part in parts]))
        spread = np.mean([part[1] for part in parts], axis=0)
        difference = percentile(drawn - spread, estimate - other)
        beside.append(Baseline(key, percentile(spread, other), difference))
    silent = sum(not one for one in words)
    counts = {"concepts": len(words), "left out": silent}
    return Figure(name, value, "concepts", "lower", tuple(beside), counts)


def _resampled(table: np.ndarray, rng: np.random.Generator, draws: int) -> tuple[float, np.ndarray]:
    """The mean off the diagonal, on the data and in resamples of concepts."""
    there = ~np.isnan(np.diag(table))
    shares = table[np.ix_(there, there)]
    k = len(shares)
    if k < 2:
        raise LearnError(
            f"overlap between {k} concepts with words is not defined",
            allowed="two concepts with words, or more",
        )
    np.fill_diagonal(shares, 0.0)
    times = rng.multinomial(k, np.full(k, 1 / k), size=draws).astype(float)
    pairs = np.square(times.sum(axis=1)) - np.square(times).sum(axis=1)
    sums = ((times @ shares) * times).sum(axis=1)
    # Two concepts give one in four resamples a single one of them, twice: no pair, no number.
    drawn = np.divide(sums, pairs, out=np.full(draws, np.nan), where=pairs > 0)
    return float(shares.sum()) / (k * (k - 1)), drawn
