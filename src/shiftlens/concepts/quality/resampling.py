"""Intervals of figures that are sums over rows, with the rows of one picture kept together.

Every figure of this kind is a sum divided by a sum: a mean (the second sum counts the rows that can
be measured), or squares left over a total. Figures that are compared are resampled together, so
that the interval of their difference is that of a paired one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval, percentile

_MOST_UNITS = 10_000
_HALVES = 60


@dataclass(frozen=True, eq=False)
class PerRow:
    """A sum over a sum, one part of each a row.

    Attributes:
        top: (n,) what is summed.
        bottom: (n,) what it is divided by the sum of; 0 for rows that could not be measured.
    """

    top: np.ndarray
    bottom: np.ndarray

    @staticmethod
    def mean(values: np.ndarray) -> "PerRow":
        """The mean of values (n,); those that are NaN are rows that could not be measured."""
        there = np.isfinite(values)
        return PerRow(np.where(there, values, 0.0), there.astype(float))

    @property
    def value(self) -> float:
        """The figure on the rows themselves; NaN where none could be measured."""
        bottom = float(self.bottom.sum())
        return float(self.top.sum()) / bottom if bottom else float("nan")

    def where(self, other: "PerRow") -> "PerRow":
        """The same on the rows that another could measure, so that the two are paired."""
        there = other.bottom != 0
        return PerRow(self.top * there, self.bottom * there)

    @property
    def missing(self) -> int:
        """Rows that could not be measured."""
        return int((self.bottom == 0).sum())


def units_of(n: int, groups: Sequence[object] | None) -> np.ndarray:
    """(n,) number of each row's unit, from 0: its group, or the row itself.

    Raises:
        LearnError: another number of groups than rows, or no rows.
    """
    if n < 1:
        raise LearnError("there are no rows to measure", allowed="one row or more")
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise LearnError(f"{n} rows with {len(groups)} groups", allowed="one group a row")
    numbers = np.unique(np.asarray([str(one) for one in groups]), return_inverse=True)[1]
    return numbers.reshape(-1)


def figure_of(
    name: str,
    own: PerRow,
    others: Mapping[str, PerRow],
    units: np.ndarray,
    *,
    unit: str,
    better: str = "higher",
    seed: int = 0,
    draws: int = 1000,
    counts: Mapping[str, int] | None = None,
) -> Figure:
    """A figure beside its baselines, by bootstrap over units.

    Args:
        name: of the figure.
        own: its rows.
        others: the same rows under each baseline.
        units: (n,) of each row, see ``units_of``.
        unit: what a unit is called.
        better: see ``Figure``.
        seed: of the resampling.
        draws: resamples. Beyond 10,000 units, random blocks of them are resampled, which leaves
            the spread as it is.
        counts: what was left out.

    Returns:
        differences are paired: over the rows on which both could be measured.

    Raises:
        LearnError: no row could be measured, or a number is not finite.
    """
    for key, one in {name: own, **others}.items():
        if not (np.isfinite(one.top).all() and np.isfinite(one.bottom).all()):
            raise LearnError(f"{key!r} is not finite on every row", remedy="look at the states")
        if not one.bottom.sum():
            raise LearnError(f"{key!r} could be measured on no row")
    pairs = [(own.where(other), other) for other in others.values()]
    drawn = _ratios([own, *(one for pair in pairs for one in pair)], units, seed, draws)
    value = percentile(drawn[:, 0], own.value)
    beside = [
        Baseline(
            key,
            percentile(drawn[:, place + 1], other.value),
            percentile(drawn[:, place] - drawn[:, place + 1], same.value - other.value),
        )
        for (key, (same, other)), place in zip(
            zip(others, pairs, strict=True), range(1, 2 * len(others), 2), strict=True
        )
    ]
    numbers = {"rows": len(units), "left out": own.missing, **(counts or {})}
    return Figure(name, value, unit, better, tuple(beside), numbers)


def _ratios(columns: list[PerRow], units: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """(draws, m) resampled ratios, NaN where nothing of a column was drawn."""
    if draws < 1:
        raise LearnError(f"{draws} bootstrap draws", allowed="a whole number from 1 up")
    random = np.random.default_rng(seed)
    parts = [side for one in columns for side in (one.top, one.bottom)]
    data = np.stack([np.bincount(units, weights=part) for part in parts], axis=1)
    if len(data) > _MOST_UNITS:
        block = random.permutation(len(data)) % _MOST_UNITS
        data = np.stack([np.bincount(block, weights=part) for part in data.T], axis=1)
    n = len(data)
    sums = np.stack(
        [
            np.bincount(random.integers(0, n, n), minlength=n).astype(float) @ data
            for _ in range(draws)
        ]
    )
    bottoms = sums[:, 1::2]
    return np.divide(sums[:, ::2], bottoms, out=np.full_like(bottoms, np.nan), where=bottoms != 0)


def half_samples(
    statistics: Callable[[np.ndarray], np.ndarray],
    units: np.ndarray,
    *,
    seed: int = 0,
    draws: int = _HALVES,
) -> tuple[np.ndarray, np.ndarray]:
    """Statistics on all rows, and on random halves of the units.

    For statistics that repeated rows would flatter, such as mutual information. The spread over
    random halves, drawn without repeats, is the standard error on all (delete-half jackknife; Shao
    and Tu 1995, section 2.3).

    Args:
        statistics: takes row numbers, gives (m,) numbers.
        units: (n,) of each row.
        seed: of the halves.
        draws: how many halves.

    Returns:
        (m,) and (draws, m).

    Raises:
        LearnError: fewer than four units.
    """
    n = int(units.max()) + 1
    if n < 4:
        raise LearnError(f"an interval from {n} units", allowed="4 or more")
    random = np.random.default_rng(seed)
    halves: list[np.ndarray] = []
    for _ in range(draws):
        chosen = np.zeros(n, dtype=bool)
        chosen[random.permutation(n)[: n // 2]] = True
        halves.append(statistics(np.flatnonzero(chosen[units])))
    return statistics(np.arange(len(units))), np.stack(halves)


def spread_interval(estimate: float, halves: np.ndarray, *, most: float = 1.0) -> Interval:
    """A normal interval around an estimate from its values on halves, cut off at ``most``."""
    half_width = 1.959963984540054 * float(halves.std(ddof=1))
    return Interval(estimate, estimate - half_width, min(most, estimate + half_width))


def student(values: Sequence[float] | np.ndarray, *, most: float = float("inf")) -> Interval:
    """Student's interval of the mean of a few values; a bootstrap of five is far too narrow.

    Args:
        values: (m,) one a refit.
        most: where the upper end is cut off.

    Raises:
        LearnError: fewer than two values: one says nothing about its spread.
    """
    from scipy.stats import t

    data = np.asarray(values, dtype=float)
    if data.size < 2:
        raise LearnError(f"an interval from {data.size} values", allowed="2 or more refits")
    mean = float(data.mean())
    half_width = float(t.ppf(0.975, data.size - 1) * data.std(ddof=1) / np.sqrt(data.size))
    return Interval(mean, mean - half_width, min(most, mean + half_width))
