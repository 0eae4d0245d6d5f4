"""Intervals that do not grow sure of themselves where nothing happened, with pictures as units.

Several samples may show one picture; their answers are not independent. Every interval here knows
how large it would be with another number of pictures, from which "needs about n" is computed.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import Interval

AtScale = Callable[[float], Interval]
"""The interval that so many times the pictures would give, with the estimate where it is."""

_AT_ONCE = 4_000_000  # resampled numbers held in memory together


@dataclass(frozen=True)
class Units:
    """Numbers of samples, summed by picture.

    Attributes:
        values: (n,) one a sample.
        sums: (pictures,) of the values.
        counts: (pictures,) samples of each.
    """

    values: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    @staticmethod
    def of(values: Sequence[float] | np.ndarray, groups: Sequence[Hashable]) -> "Units":
        """From one value and one picture a sample.

        Raises:
            ShiftLensError: there are none, or not as many of one as of the other.
        """
        data = np.asarray(values, dtype=np.float64)
        if not len(data) or len(data) != len(groups):
            raise ShiftLensError(f"{len(data)} values of {len(groups)} samples have no interval")
        numbers = {group: index for index, group in enumerate(dict.fromkeys(groups))}
        index = np.asarray([numbers[group] for group in groups])
        sums = np.bincount(index, weights=data, minlength=len(numbers))
        return Units(data, sums, np.bincount(index, minlength=len(numbers)).astype(np.float64))

    @property
    def n(self) -> int:
        """How many samples."""
        return len(self.values)

    @property
    def pictures(self) -> int:
        """How many pictures."""
        return len(self.sums)

    @property
    def mean(self) -> float:
        """Of all samples."""
        return float(self.values.mean())

    @property
    def most_alike(self) -> float:
        """Samples that count as one where all answers to a picture agree: 1 without repeats."""
        return float((self.counts**2).sum() / self.n)


def score(share: float, n: float, level: float) -> Interval:
    """Wilson's score interval of a share of ``n`` independent units, ``n`` not always whole."""
    z = _z(level)
    spread = z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the formula equals 0 or 1 only up to rounding.
    low = 0.0 if share <= 0 else max(0.0, centre - half)
    high = 1.0 if share >= 1 else min(1.0, centre + half)
    return Interval(share, low, high)


def share_at(units: Units, level: float) -> AtScale:
    """Wilson's interval of a share; repeats of a picture count for as much as they add.

    The number of independent units is that of the samples over the design effect: the variance of
    the share with pictures as units over the one with samples as units (Korn and Graubard 1998),
    at least 1 and at most what it is where all samples of a picture agree. It is taken to be that
    most where no sample, or every sample, counts.

    Args:
        units: values of 0 and 1.
        level: such as 0.95.
    """
    share, effect = units.mean, units.most_alike
    if 0 < share < 1 and effect > 1 and units.pictures > 1:
        around = float(((units.sums - share * units.counts) ** 2).sum())
        around *= units.pictures / (units.pictures - 1) / units.n**2
        effect = min(effect, max(1.0, around / (share * (1 - share) / units.n)))
    return lambda scale: score(share, units.n / effect * scale, level)


def mean_at(
    units: Units, ends: tuple[float, float], level: float, *, seed: int = 0, draws: int = 2000
) -> AtScale:
    """Interval of a mean: the wider one, at either end, of two.

    One is the bootstrap that draws pictures. It believes in nothing that it has not seen: where no
    answer changed, it has no width at all. The other is the normal interval after z^2 (3.8 at 95 %)
    made-up pictures were added, half of them at either of the ``ends``: the adjusted Wald interval
    of Agresti and Coull 1998 and, for matched pairs, of Agresti and Min 2005 and Bonett and Price
    2012. Where all of n differences are 0 it reaches to z^2 / (n + z^2) of an end, as Wilson's and
    Tango's do.

    Args:
        units: any numbers, differences of paired answers for example.
        ends: the smallest and the largest value that a sample could have; no value lies outside.
        level: such as 0.95.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    mean = units.mean
    lowest, highest = _bootstrap(units, level, seed, draws)

    def at(scale: float) -> Interval:
        centre, half = _adjusted(units, ends, level, scale)
        shrink = math.sqrt(scale)
        low = min(centre - half, mean + (lowest - mean) / shrink, mean)
        high = max(centre + half, mean + (highest - mean) / shrink, mean)
        return Interval(mean, max(low, ends[0]), min(high, ends[1]))

    return at


def _bootstrap(units: Units, level: float, seed: int, draws: int) -> tuple[float, float]:
    """Percentiles of the mean over resampled pictures."""
    rng = np.random.default_rng(seed)
    n, found = units.pictures, list[np.ndarray]()
    step = max(1, _AT_ONCE // n)
    for start in range(0, draws, step):
        picks = rng.integers(0, n, (min(step, draws - start), n))
        found.append(units.sums[picks].sum(axis=1) / units.counts[picks].sum(axis=1))
    tail = 50 * (1 - level)
    low, high = np.percentile(np.concatenate(found), [tail, 100 - tail])
    return float(low), float(high)


def _adjusted(
    units: Units, ends: tuple[float, float], level: float, scale: float
) -> tuple[float, float]:
    """Centre and half width of the mean with made-up pictures of average size at both ends."""
    z = _z(level)
    size = units.n / units.pictures
    total = units.n * scale + z**2 * size
    centre = (float(units.sums.sum()) * scale + z**2 / 2 * size * sum(ends)) / total
    square = float(((units.sums - centre * units.counts) ** 2).sum()) * scale
    square *= units.pictures / max(1, units.pictures - 1)
    square += z**2 / 2 * size**2 * sum((end - centre) ** 2 for end in ends)
    return centre, z * math.sqrt(square) / total


def quantile_at(units: Units, quantile: float, level: float) -> AtScale:
    """Interval of a quantile, from Wilson's intervals of the shares that lie beyond each value.

    It assumes nothing about the values. Too few of them leave it without an upper end. All samples
    of a picture are taken to agree, which errs on the wide side.

    Args:
        units: numbers that are at least 0.
        quantile: 0.95: the value that 95 % of the samples stay below.
        level: such as 0.95.
    """
    ordered = np.sort(units.values)
    n, beyond, ranks = units.n, 1 - quantile, range(1, units.n + 1)
    estimate = float(np.quantile(ordered, quantile))

    def at(scale: float) -> Interval:
        size = n / units.most_alike * scale
        # The k-th value from above has k values at or above it, and k - 1 above it.
        surely = bisect_left(ranks, True, key=lambda k: score(k / n, size, level).low >= beyond)
        beside = bisect_left(
            ranks, True, key=lambda k: score((k - 1) / n, size, level).high > beyond
        )
        low = float(ordered[n - ranks[surely]]) if surely < n else 0.0
        high = float(ordered[n - ranks[beside - 1]]) if beside else math.inf
        return Interval(estimate, min(low, estimate), max(high, estimate))

    return at


def _z(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)
