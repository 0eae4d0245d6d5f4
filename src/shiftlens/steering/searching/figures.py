"""Means and paired differences with intervals, for samples that may share pictures.

Shares have Wilson's interval, paired differences of shares Newcombe's: where nothing changed, a
bootstrap would claim certainty. Where several samples show one picture they are not independent;
then the interval is widened to that of a bootstrap over pictures.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import (
    Interval,
    bootstrap_mean,
    paired_difference,
    percentile,
    wilson,
)

_DRAWS = 2000

Scored = Sequence[float | None]


def mean(values: Scored, groups: Sequence[Hashable], *, is_share: bool) -> Interval | None:
    """Mean of the scores that say something, or ``None`` where none does.

    Args:
        values: one score a sample; ``None`` where it says nothing.
        groups: for each sample what it shares with others that depend on it.
        is_share: whether every score is 0 or 1.

    Raises:
        SteeringError: a score that is no finite number.
    """
    kept = [(v, g) for v, g in zip(values, groups, strict=True) if v is not None]
    if not kept:
        return None
    scores = _finite([value for value, _ in kept])
    if is_share:
        if not np.isin(scores, (0.0, 1.0)).all():
            raise SteeringError("a share of scores that are neither 0 nor 1")
        found = wilson(round(float(scores.sum())), len(scores))
    else:
        found = bootstrap_mean(scores, draws=_DRAWS)
    return _widened(found, scores, [group for _, group in kept])


def worsening(
    before: Scored,
    after: Scored,
    groups: Sequence[Hashable],
    *,
    is_share: bool,
    higher_is_better: bool,
) -> Interval | None:
    """How much worse scores became, paired by sample: positive is worse; ``None``: no pair.

    Args:
        before: scores of the unsteered answers.
        after: scores of the steered ones.
        groups: as in ``mean``.
        is_share: whether every score is 0 or 1.
        higher_is_better: which way is good.

    Raises:
        SteeringError: a score that is no finite number.
    """
    triples = zip(before, after, groups, strict=True)
    kept = [(a, b, g) for a, b, g in triples if a is not None and b is not None]
    if not kept:
        return None
    old, new = _finite([a for a, _, _ in kept]), _finite([b for _, b, _ in kept])
    worse, better = (old, new) if higher_is_better else (new, old)
    losses = worse - better
    found = paired_difference(better, worse) if is_share else bootstrap_mean(losses, draws=_DRAWS)
    return _widened(found, losses, [group for *_, group in kept])


def gap(first: Interval, second: Interval) -> Interval:
    """Difference of two independent estimates, by the method of recovered variances."""
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(difference, difference - below, difference + above)


def _finite(values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        bad = int((~np.isfinite(numbers)).sum())
        raise SteeringError(
            f"{bad} of {len(numbers)} scores are no finite numbers",
            allowed="numbers, and None for a sample that a measure says nothing about",
        )
    return numbers


def _widened(found: Interval, values: np.ndarray, groups: Sequence[Hashable]) -> Interval:
    """The same interval, or a wider one where samples depend on each other."""
    numbers = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(numbers) == len(groups):
        return found
    place = np.array([numbers[group] for group in groups])
    sums = np.bincount(place, weights=values)
    counts = np.bincount(place)
    picks = np.random.default_rng(0).integers(0, len(sums), (_DRAWS, len(sums)))
    other = percentile(sums[picks].sum(axis=1) / counts[picks].sum(axis=1), found.estimate)
    return Interval(found.estimate, min(found.low, other.low), max(found.high, other.high))
