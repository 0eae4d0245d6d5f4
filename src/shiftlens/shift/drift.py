"""How far states drifted at one place: all of them, and concepts apart from the rest.

For a given assignment of samples to concepts, so that layers, token roles, adapter modules and
training steps can be compared. Intervals hold *given these concepts*: they resample pictures and
learn nothing again, and are therefore narrower than those of verdicts.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.intervals import Interval, percentile
from shiftlens.shift.effects import Cells, Everywhere, effects, spread
from shiftlens.shift.refits import Split, resample


@dataclass(frozen=True)
class Drift:
    """Effects at one place, in spreads (of base states around the mean of their concept).

    Attributes:
        moved: mean change of all judging samples.
        own: mean over concepts, by their number of samples, of what each moved apart from the rest.
        concepts: for each concept how far it moved; NaN with fewer than two pictures.
    """

    moved: Interval
    own: Interval
    concepts: tuple[Interval, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "moved": self.moved.to_dict(),
            "own": self.own.to_dict(),
            "concepts": [one.to_dict() for one in self.concepts],
        }


def drift(split: Split, labels: Tensor, k: int, *, seed: int = 0, draws: int = 200) -> Drift:
    """Measure the drift of the judging part.

    Args:
        split: states and changes; the estimation part gives the change of all samples.
        labels: (m,) concept of each judging row.
        k: number of concepts.
        seed: of the resamples.
        draws: how many.
    """
    rng = np.random.default_rng([seed, 13])
    whole = _cells(split, torch.zeros_like(labels), 1)
    apart = _cells(split, labels, k)
    everywhere = Everywhere.of(split.delta, split.groups)
    sizes = torch.bincount(labels, minlength=k).double()
    ones = torch.ones(len(apart.group)).double()

    def measure(weights: Tensor | None) -> np.ndarray:
        own = ones if weights is None else weights[apart.group]
        scale = spread(apart, k, own)
        every = effects(whole, 1, everywhere, weights, scale=scale)[0, 0]
        each = effects(apart, k, everywhere, weights, scale=scale)
        known = torch.isfinite(each[:, 1])
        share = sizes * known
        mean = (each[:, 1].nan_to_num() * share).sum() / share.sum()
        return torch.cat([every[None], mean[None], each[:, 0]]).numpy()

    found = measure(None)
    resampled = np.stack([measure(resample(split.judging_groups, rng)) for _ in range(draws)])
    intervals = [_interval(resampled[:, i], float(found[i])) for i in range(len(found))]
    return Drift(intervals[0], intervals[1], tuple(intervals[2:]))


def _cells(split: Split, labels: Tensor, k: int) -> Cells:
    return Cells.of(split.judging_base, split.judging_delta, labels, split.judging_groups, k)


def _interval(values: np.ndarray, estimate: float) -> Interval:
    if not np.isfinite(estimate) or not np.isfinite(values).any():
        return Interval(float("nan"), float("nan"), float("nan"))
    return percentile(values, estimate)
