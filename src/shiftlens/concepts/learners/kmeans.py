"""K-means: a concept is the mean of the states that are nearest to it.

acts (n, d), vectors (k, d); minimises the sum of squared distances of each row to its centroid
(Khayatan et al. 2025, section 3.2).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.concepts.learners.lloyd import Pass, Room, Run
from shiftlens.concepts.learners.starts import run_starts
from shiftlens.concepts.rows import blocks
from shiftlens.core.shapes import Acts, Vectors


@learners.register("kmeans")
@dataclass(frozen=True)
class KMeans(ConceptLearner):
    """Lloyd's algorithm from greedy k-means++ starts; the best of several.

    Use when concepts should be groups of samples that a person can look through.
    Cost: O(n k d) per iteration. Relations: the learner of the published method.

    Up to 16,384 rows, or 256 for each concept, are held as far as 128 MB go, and every start runs
    on all of them until it stands still. Of more rows a seeded sample of that size is held: the
    starts run there, and the best one goes on over all rows, pass by pass. Memory beside the sample
    is one chunk of rows and k centroids.

    The report holds ``objective``, ``iterations`` (moves of the start that won, or passes that
    moved it), ``converged``, ``start_objectives`` (on the sample) and ``sampled_rows``.

    Our own lines rather than a library's: they read rows from disk, run on the device where the
    states are, and the same seed gives the same bits there. A test holds them to scikit-learn's
    objective, ``benchmarks.concepts`` to its speed and to faiss's.

    Args:
        k: number of concepts.
        seed: same seed, same bits on one device.
        n_starts: starts; the one with the lowest objective goes on.
        max_iter: iterations of each start at most, and passes over all rows.
        tol: stop when the centroids move less than this share of the mean variance; where not all
            rows are held, also when an iteration lowers the objective by less than this share.
        space: one of ``shiftlens.concepts.space.SPACES``; in ``unit`` the centroids are put back to
            length one (spherical k-means).
    """

    name: ClassVar[str] = "kmeans"
    k: int = 20
    seed: int = 0
    n_starts: int = 4
    max_iter: int = 100
    tol: float = 1e-4
    space: str = "raw"

    def begin(self, view: View) -> "_KMeansFit":
        """Draw the sample and run the starts; see ``ConceptLearner.begin``."""
        return _KMeansFit(self, view)


class _KMeansFit(Fitting):
    """Passes over all rows, from the best start; none where the sample holds all rows."""

    def __init__(self, options: KMeans, view: View) -> None:
        self._view = view
        self._starts = run_starts(
            view,
            options.k,
            options.seed,
            n_starts=options.n_starts,
            max_iter=options.max_iter,
            tol=options.tol,
        )
        self._run = self._starts.best
        self._before, self._passes, self._stands = math.inf, 0, False
        self.wants_rows = not self._starts.whole
        if self.wants_rows:
            self._room = Room(self._starts.frame.centre)
            self._seen = Pass(self._run.centroids, self._starts.frame)

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Find the nearest centroid of each row."""
        for part in blocks(len(states), states.shape[1], states.device):
            self._seen.add(self._room.centred(states[part]), numbers[part])

    def end_pass(self) -> bool:
        """Move the centroids; after the last move one more pass counts their rows."""
        seen, stop = self._seen, self._starts.stop
        if not self._stands and self._passes < stop.max_iter:
            self._passes += 1
            moved = seen.moved(self._take)
            moves = float((moved - seen.centroids).square().sum())
            self._stands = stop.stands(moves, self._before, seen.objective)
            self._before = seen.objective
            if moves > 0:  # otherwise the rows were just seen with these very centroids
                self._seen = Pass(moved, self._starts.frame)
                return True
        self._run = Run(seen.centroids, seen.counts, seen.objective, self._passes, self._stands)
        return False

    def _take(self, numbers: np.ndarray) -> Vectors:
        return self._view.take(numbers) - self._starts.frame.centre

    def learned(self) -> Learned:
        """The centroids in the space's coordinates."""
        final = self._run
        report = {
            "objective": final.objective,
            "iterations": final.iterations,
            "converged": final.converged,
            **self._starts.report(),
        }
        return Learned(final.centroids + self._starts.frame.centre, "centroid", (), report)
