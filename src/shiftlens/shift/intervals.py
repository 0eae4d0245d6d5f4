"""Intervals of what is averaged over cuts into halves, from resamples in which all is done again.

Two things must not be taken for what they are not.

*Level.* A resample holds about .63 of the different samples, so that shifts and targets are noisier
and recovery is lower in refits than on the data, whatever is true. Their spread is what is wanted
of them: they are moved as a whole until their median is the estimate. The interval speaks about
what this procedure gives, on average, on fresh samples of the same number. A shift of its own must
then beat one global shift in spite of its own noise, which is the careful side to err on.

*Spread.* The estimate is a mean over several cuts; one refit is a single cut and varies more. Every
resample is therefore cut twice: the two tell how much of the spread is due to the cut, and that
part is taken in as often as the estimate has it, and no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import Interval

CUTS_EACH = 2  # cuts of each resample

Numbers = dict[str, float]


@dataclass(frozen=True)
class Refits:
    """Numbers of every resample and cut.

    Attributes:
        values: for each number (resamples, cuts of each).
        cuts: how many cuts the estimates are means of.
    """

    values: Mapping[str, np.ndarray]
    cuts: int

    @staticmethod
    def of(found: Sequence[Sequence[Numbers]], cuts: int) -> "Refits":
        """From lists of numbers: one list a resample, one entry a cut."""
        names = found[0][0]
        values = {
            name: np.asarray([[one[name] for one in resample] for resample in found])
            for name in names
        }
        return Refits(values, cuts)

    def knows(self, name: str) -> bool:
        """Whether any resample has the number in all its cuts."""
        return bool(np.isfinite(self.values[name]).all(axis=1).any())

    def difference(self, numbers: Numbers, name: str, other: str) -> Interval:
        """One number minus another, with the interval of their paired difference.

        Raises:
            ShiftLensError: no resample has both.
        """
        estimate = numbers[name] - numbers[other]
        return around(self.values[name] - self.values[other], estimate, self.cuts)

    def share(self, numbers: Numbers, ceiling: str) -> Interval | None:
        """(concept - global) over (ceiling - global); ``None`` without room between the last two.

        There is room where the interval of the difference lies above 0: a share of nothing has no
        value, and a share of almost nothing has any.
        """
        room = self.difference(numbers, ceiling, "global")
        if not room.low > 0:
            return None
        gain = numbers["concept"] - numbers["global"]
        drawn = (self.values[name] - self.values["global"] for name in ("concept", ceiling))
        gains, rooms = (
            moved(one, estimate, self.cuts)
            for one, estimate in zip(drawn, (gain, room.estimate), strict=True)
        )
        ratio, estimate = gains / rooms, gain / room.estimate
        return _middle(ratio - np.nanmedian(ratio) + estimate, estimate)


def around(values: np.ndarray, estimate: float, cuts: int) -> Interval:
    """The middle 95 % of ``moved`` refits; it always holds the estimate.

    Raises:
        ShiftLensError: no refit is finite.
    """
    return _middle(moved(values, estimate, cuts), estimate)


def _middle(values: np.ndarray, estimate: float) -> Interval:
    """Between the 2.5th and 97.5th of 100 ordered draws, where the place p lies at p (n + 1).

    The usual places, p (n - 1), give intervals that are too short when there are few draws; with
    these one more draw of the same kind falls outside in 5 of 100 cases, or, below 39 draws, in
    2 of n + 1.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        raise ShiftLensError("no finite refit: the statistic is undefined on these data")
    low, high = np.percentile(known, [2.5, 97.5], method="weibull")
    return Interval(estimate, float(low), float(high))


def moved(values: np.ndarray, estimate: float, cuts: int) -> np.ndarray:
    """Refits with the estimate's level and spread: (resamples,), NaN where a cut is not known.

    Args:
        values: (resamples, cuts of each).
        estimate: the statistic on the data themselves.
        cuts: how many cuts the estimate is a mean of.
    """
    means = values.mean(axis=1)
    known = np.isfinite(means)
    if not known.any():
        return means
    away = means - np.median(means[known])
    return estimate + away * _narrower(values[known], cuts)


def _narrower(values: np.ndarray, cuts: int) -> float:
    """How much less a mean over ``cuts`` cuts spreads than the mean over those of a resample."""
    n, each = values.shape
    if n < 2 or each < 2:
        return 1.0
    of_cut = float(values.var(axis=1, ddof=1).mean())
    whole = float(values.mean(axis=1).var(ddof=1))
    of_samples = max(whole - of_cut / each, 0.0)
    wanted = of_samples + of_cut / cuts
    return min(1.0, float(np.sqrt(wanted / whole))) if whole > 0 else 1.0
