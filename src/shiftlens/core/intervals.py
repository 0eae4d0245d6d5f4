"""95 % intervals for what shiftlens prints: shares, means, refits, and differences of pairs."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shiftlens.core.errors import ShiftLensError

_Z = 1.959963984540054  # 97.5 % point of the standard normal distribution
_BLOCK = 4_000_000  # resampled rows held at once: 32 MB of indices

Column = ArrayLike | tuple[Any, ...]
"""One value a unit: a list, a tuple or an array."""


@dataclass(frozen=True)
class Interval:
    """An estimate between the ends of its 95 % interval."""

    estimate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """The three numbers under their names, for JSON."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


def wilson(successes: int, n: int) -> Interval:
    """Wilson score interval of a share: honest near 0 and 1, where the textbook one is not.

    Args:
        successes: how many of the ``n`` independent trials succeeded.
        n: how many trials there were, at least one.

    Raises:
        ShiftLensError: ``n`` is zero or ``successes`` lies outside 0..n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ShiftLensError(
            f"a share of {successes} out of {n} does not exist",
            allowed="0 <= successes <= n, n >= 1",
        )
    return _score(successes / n, n)


def wilson_grouped(flags: Column, groups: Sequence[Hashable]) -> Interval:
    """Wilson interval of a share whose trials depend on each other within groups.

    The number of trials is divided by the design effect: by how much the groups make the variance
    of the share larger than that of independent trials (Kott and Carr 1997). Where every trial
    fails or every one succeeds that cannot be estimated, and a group counts as one trial.

    Args:
        flags: (n,) whether each trial succeeded.
        groups: for each trial what it shares with those that depend on it, such as a picture.

    Raises:
        ShiftLensError: there are no trials, or not one group for each.
    """
    (data,) = _columns([np.asarray(flags, dtype=bool)])
    if len(groups) != len(data):
        raise ShiftLensError(f"{len(data)} trials in {len(groups)} groups", allowed="one for each")
    share, n = float(data.mean()), len(data)
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    if len(places) == n:
        return wilson(int(data.sum()), n)
    if share in (0.0, 1.0):
        return _score(share, len(places))
    away = np.bincount([places[group] for group in groups], weights=data - share)
    effect = float((away**2).sum()) / (n * share * (1 - share))
    return _score(share, n / max(effect, 1.0))


def _score(share: float, n: float) -> Interval:
    """The interval of a share of ``n`` trials, which may be a part of one."""
    spread = _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the formula equals 0 or 1 only up to rounding.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return Interval(share, low, high)


def bootstrap_mean(values: Column, *, seed: int = 0, draws: int = 2000) -> Interval:
    """Percentile bootstrap interval of a mean; give paired differences to compare two things.

    Args:
        values: (n,) numbers, one for each independent unit.
        seed: of the resampling.
        draws: how many resamples.

    Raises:
        ShiftLensError: there are no values.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise ShiftLensError(
            f"cannot take the mean of an array of shape {data.shape}", allowed="(n,), n >= 1"
        )
    means = [data[picks].mean(axis=1) for picks in _resamples(data.size, seed, draws)]
    return percentile(np.concatenate(means), float(data.mean()))


def bootstrap_paired(
    before: Column, after: Column, *, seed: int = 0, draws: int = 2000
) -> Interval:
    """Percentile bootstrap interval of a mean paired difference, after minus before.

    Args:
        before: (n,) numbers, one for each independent unit.
        after: (n,) numbers of the same units in the same order.
        seed: of the resampling.
        draws: how many resamples.

    Raises:
        ShiftLensError: there are no pairs, the lengths differ, or a number is not finite. Flags
            deserve ``paired_difference``: where no pair differs, a bootstrap claims certainty.
    """
    old, new = (column.astype(np.float64) for column in _columns((before, after)))
    difference = new - old
    if not np.isfinite(difference).all():
        raise ShiftLensError("a paired difference is not finite", allowed="finite numbers")
    return bootstrap_mean(difference, seed=seed, draws=draws)


def bootstrap(
    statistic: Callable[..., float], *columns: Column, seed: int = 0, draws: int = 2000
) -> Interval:
    """Percentile bootstrap interval of a statistic that is not a mean, such as F1.

    Rows are resampled jointly, so that what belongs to one unit stays together. Resamples on which
    the statistic is not finite are left out; should it not be finite on the data, that is an error.

    Args:
        statistic: takes as many arrays as there are columns, all of one length.
        columns: (n, ...) arrays; row i of each belongs to unit i.
        seed: of the resampling.
        draws: how many resamples.

    Raises:
        ShiftLensError: no columns or no rows, columns of different lengths, a number that is not
            finite, or a statistic that is undefined on the data.
    """
    data = _columns(columns)
    for column in data:
        if np.issubdtype(column.dtype, np.floating) and not np.isfinite(column).all():
            raise ShiftLensError("a column holds a number that is not finite")
    estimate = float(statistic(*data))
    if not math.isfinite(estimate):
        raise ShiftLensError(f"the statistic is {estimate} on the data: nothing to resample")
    values = [
        float(statistic(*(column[rows] for column in data)))
        for picks in _resamples(len(data[0]), seed, draws)
        for rows in picks
    ]
    return percentile(values, estimate)


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of two paired runs: do they succeed equally often?

    Attributes:
        lost: pairs that succeeded before and fail after.
        gained: pairs that failed before and succeed after.
        p: two-sided; 1 where no pair differs.
    """

    lost: int
    gained: int
    p: float

    def to_dict(self) -> dict[str, int | float]:
        """The three numbers under their names, for JSON."""
        return {"lost": self.lost, "gained": self.gained, "p": self.p}


def mcnemar(before: Column, after: Column) -> McNemar:
    """McNemar's test in its exact form: among pairs that differ, both directions are a fair coin.

    Args:
        before: (n,) flags, one for each independent unit.
        after: (n,) flags of the same units in the same order.

    Raises:
        ShiftLensError: there are no pairs, the lengths differ, or something is neither 0 nor 1.
    """
    from scipy.stats import binomtest

    lost, gained, _ = _discordant(before, after)
    p = float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0
    return McNemar(lost, gained, p)


def paired_difference(before: Column, after: Column) -> Interval:
    """Difference of two paired shares, after minus before, honest where few pairs differ.

    The interval combines the Wilson intervals of the shares gained and lost (Newcombe 1998; the
    method of recovered variances, Zou 2007), with their correlation: a pair that was gained cannot
    have been lost. Where no pair differs, a bootstrap would claim certainty; this does not.

    Args:
        before: (n,) flags, one for each independent unit.
        after: (n,) flags of the same units in the same order.

    Raises:
        ShiftLensError: there are no pairs, the lengths differ, or something is neither 0 nor 1.
    """
    n_lost, n_gained, n = _discordant(before, after)
    lost, gained = wilson(n_lost, n), wilson(n_gained, n)
    odds = [share.estimate / (1 - share.estimate) for share in (lost, gained) if share.estimate < 1]
    # Of the two shares of one multinomial; a share of 1 leaves 0 to the other.
    against = math.sqrt(odds[0] * odds[1]) if len(odds) == 2 else 0.0
    difference = gained.estimate - lost.estimate
    below = _joined(gained.estimate - gained.low, lost.high - lost.estimate, against)
    above = _joined(gained.high - gained.estimate, lost.estimate - lost.low, against)
    return Interval(difference, difference - below, difference + above)


def percentile(draws: Sequence[float] | np.ndarray, estimate: float) -> Interval:
    """The middle 95 % of a statistic's bootstrap draws, around its estimate on the data itself."""
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise ShiftLensError("no finite bootstrap draw: the statistic is undefined on these data")
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))


def _joined(one: float, other: float, against: float) -> float:
    """Half a width of a difference from those of its parts, correlated by ``-against``."""
    return math.sqrt(one**2 + other**2 + 2 * against * one * other)


def _resamples(n: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """(b, n) row indices, block by block: all draws at once could fill the memory."""
    if draws < 1:
        raise ShiftLensError(f"{draws} bootstrap draws", allowed="a whole number from 1 up")
    random = np.random.default_rng(seed)
    at_once = max(1, _BLOCK // n)
    for start in range(0, draws, at_once):
        yield random.integers(0, n, (min(at_once, draws - start), n))


def _columns(columns: Sequence[Column]) -> list[np.ndarray]:
    """Columns as arrays of one length, at least one row."""
    data = [np.asarray(column) for column in columns]
    lengths = [len(column) if column.ndim else 0 for column in data]
    if not data or min(lengths) < 1 or len(set(lengths)) > 1:
        raise ShiftLensError(
            f"rows cannot be paired: {', '.join(map(str, lengths)) or 'no'} values",
            allowed="equally many in every column, at least one",
        )
    return data


def _discordant(before: Column, after: Column) -> tuple[int, int, int]:
    """How many pairs were lost, how many gained, and how many there are."""
    old, new = _columns((before, after))
    for flags in (old, new):
        if flags.ndim != 1 or not np.isin(flags, (0, 1)).all():
            raise ShiftLensError("something is neither true nor false", allowed="flags, 0 or 1")
    was, now = old.astype(bool), new.astype(bool)
    return int((was & ~now).sum()), int((now & ~was).sum()), len(was)
