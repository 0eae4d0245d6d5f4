"""Correlations over few concepts, with the interval that shows how few they are.

With twenty concepts a correlation is weak evidence. Putting several fine-tunes together makes n
larger and the figure too: where one fine-tune has larger shifts *and* more to recover than another,
its concepts lie apart from the other's, and the two clouds correlate whatever happens within them.
So the within-run figure, from which each run's own mean is taken off, stands beside the pooled one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import Interval, percentile

_FEWEST = 4  # concepts; three points lie on a line too easily to say anything


@dataclass(frozen=True)
class Correlation:
    """Correlations of two figures over concepts.

    Attributes:
        n: concepts for which both are known.
        pearson: with a 95 % interval, concepts resampled (within their run).
        spearman: the same for ranks.
    """

    n: int
    pearson: Interval
    spearman: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "n": self.n,
            "pearson": self.pearson.to_dict(),
            "spearman": self.spearman.to_dict(),
        }


def correlate(
    x: Sequence[float],
    y: Sequence[float],
    runs: Sequence[object] | None = None,
    *,
    within: bool = False,
    seed: int = 0,
    draws: int = 2000,
) -> Correlation | None:
    """Pearson's and Spearman's correlation, with bootstrap intervals over concepts.

    Args:
        x: one figure of each concept; unknown (NaN) ones are left out.
        y: the other.
        runs: which fine-tune each concept belongs to; concepts are resampled within it.
        within: take each run's mean (of values, or of ranks within the run) off first.
        seed: of the resamples.
        draws: how many.

    Returns:
        ``None`` where fewer than four concepts are known, or one of the figures does not vary.

    Raises:
        ShiftLensError: lists of different lengths.
    """
    if len(x) != len(y) or (runs is not None and len(runs) != len(x)):
        raise ShiftLensError(
            f"{len(x)} values of one figure, {len(y)} of the other",
            allowed="one of each for every concept",
        )
    values = np.asarray([x, y], dtype=np.float64)
    known = np.isfinite(values).all(axis=0)
    values = values[:, known]
    numbers = np.zeros(len(x), dtype=int)
    if runs is not None:
        numbers = np.unique([str(run) for run in runs], return_inverse=True)[1].reshape(-1)
    numbers = numbers[known]
    if values.shape[1] < _FEWEST:
        return None
    picks = _picks(numbers, np.random.default_rng(seed), draws)
    found: list[Interval] = []
    for ranked in (False, True):
        estimate = _pearson(*_ready(values[:, None, :], numbers[None], ranked, within))[0]
        drawn = _pearson(*_ready(values[:, picks], numbers[picks], ranked, within))
        if not np.isfinite(estimate) or not np.isfinite(drawn).any():
            return None
        found.append(percentile(drawn, float(estimate)))
    return Correlation(values.shape[1], *found)


def _picks(runs: np.ndarray, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Resampled concepts, as many of each run as there are: (draws, n)."""
    columns = [np.flatnonzero(runs == run) for run in np.unique(runs)]
    chosen = [own[rng.integers(0, len(own), (draws, len(own)))] for own in columns]
    return np.concatenate(chosen, axis=1)


def _ready(
    values: np.ndarray, runs: np.ndarray, ranked: bool, within: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Both figures (draws, n), as ranks where asked, without their runs' means where asked."""
    from scipy.stats import rankdata

    # Every row holds the same runs in the same order.
    groups = [runs[0] == run for run in np.unique(runs[0])] if within else [runs[0] == runs[0]]
    ready = np.empty(values.shape)
    for group in groups:
        part = values[..., group]
        part = rankdata(part, axis=-1) if ranked else part
        ready[..., group] = part - part.mean(axis=-1, keepdims=True)
    return ready[0], ready[1]


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of rows: (draws,); NaN where one of the two does not vary."""
    x, y = (one - one.mean(axis=-1, keepdims=True) for one in (x, y))
    scale = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    flat = scale <= 1e-12 * max(1.0, float(np.nanmax(scale, initial=0.0)))
    return np.where(flat, np.nan, (x * y).sum(axis=-1) / np.where(flat, 1.0, scale))
