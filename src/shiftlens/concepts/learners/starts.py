"""Starts of k-means on rows that fit in memory, and how good they came out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import View
from shiftlens.concepts.learners.lloyd import Frame, Run, Stop, plus_plus, run, squared_lengths
from shiftlens.concepts.learners.sampling import Sample, draw


@dataclass(frozen=True, eq=False)
class Starts:
    """What the starts came to.

    Attributes:
        best: the run with the lowest objective.
        objectives: of every start, on the sample.
        frame: where the sample lies.
        stop: the rule that they stopped by.
        sampled: rows of the sample.
        whole: whether these are all rows.
    """

    best: Run
    objectives: tuple[float, ...]
    frame: Frame
    stop: Stop
    sampled: int
    whole: bool

    def report(self) -> dict[str, Any]:
        """JSON: the objective of each start on how many rows."""
        return {"start_objectives": list(self.objectives), "sampled_rows": self.sampled}


def run_starts(
    view: View, k: int, seed: int, *, n_starts: int, max_iter: int, tol: float
) -> Starts:
    """Run all starts on a sample of the rows.

    Args:
        view: the rows.
        k: number of concepts.
        seed: of the sample and of the starts.
        n_starts: see ``KMeans``.
        max_iter: see ``KMeans``.
        tol: see ``KMeans``.
    """
    rng = np.random.default_rng(seed)
    sample = draw(view, k, rng)
    data, frame = _framed(sample, view)
    lengths = squared_lengths(data)
    # Centred rows: their mean square is their variance.
    variance = float(lengths.sum(dtype=torch.float64)) / data.numel()
    stop = Stop(max_iter, tol * variance, 0.0 if sample.whole else tol)
    runs = [
        run(data, plus_plus(data, lengths, k, rng), frame, stop, lengths) for _ in range(n_starts)
    ]
    best = min(runs, key=lambda one: one.objective)
    objectives = tuple(one.objective for one in runs)
    return Starts(best, objectives, frame, stop, len(data), sample.whole)


def _framed(sample: Sample, view: View) -> tuple[Tensor, Frame]:
    """The sample's rows, centred in place, and by what."""
    centre = sample.rows.mean(dim=0)
    return sample.rows.sub_(centre), Frame(centre, view.space.name == "unit")
