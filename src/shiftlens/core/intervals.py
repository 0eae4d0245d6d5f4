"""95 % intervals for the three kinds of numbers that shiftlens prints: shares, means, refits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shiftlens.core.errors import ShiftLensError

_Z = 1.959963984540054  # 97.5 % point of the standard normal distribution


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
    share = successes / n
    spread = _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # At the ends the formula equals 0 or 1 only up to rounding.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(share, low, high)


def bootstrap_mean(values: ArrayLike, *, seed: int = 0, draws: int = 2000) -> Interval:
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
    picks = np.random.default_rng(seed).integers(0, data.size, (draws, data.size))
    return percentile(data[picks].mean(axis=1), float(data.mean()))


def percentile(draws: Sequence[float] | np.ndarray, estimate: float) -> Interval:
    """The middle 95 % of a statistic's bootstrap draws, around its estimate on the data itself."""
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        raise ShiftLensError("no finite bootstrap draw: the statistic is undefined on these data")
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(estimate, float(low), float(high))
