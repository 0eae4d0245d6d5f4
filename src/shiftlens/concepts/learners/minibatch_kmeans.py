"""Mini-batch k-means: centroids that move after every few thousand rows of a stream.

acts (n, d), vectors (k, d); the objective of ``kmeans``, sought in few passes over many rows
(Sculley 2010, "Web-scale k-means clustering", algorithm 1).
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.concepts.learners.lloyd import Pass, Room, Worst
from shiftlens.concepts.learners.starts import Starts, run_starts
from shiftlens.core.shapes import Acts, Vectors

_START_MOVES = 10
"""Moves of Lloyd's algorithm that a start is given on the sample before starts are compared."""


@learners.register("minibatch-kmeans")
@dataclass(frozen=True)
class MiniBatchKMeans(ConceptLearner):
    """K-means by batches, each centroid with a learning rate of its own.

    Use for more rows than many passes could read; where rows fit in memory ``KMeans`` is as fast
    and ends in a true minimum. Cost: O(n k d) per pass, of which it needs a few. Relations: starts
    from the same sample as ``KMeans``, with the same draw of starts.

    A batch is a run of rows in the order in which the store has them, whatever chunks they come in.
    A centroid's rate is one over the rows that it won in this pass and in the one before, so that
    what it won early, when it lay elsewhere, is forgotten. A concept that wins no row of a pass
    takes the row that the pass served worst.

    Args:
        k: number of concepts.
        seed: same seed, same bits on one device.
        n_starts: starts on the sample; the one with the lowest objective there goes on.
        batch_size: rows after which the centroids move.
        max_passes: passes over all rows at most; one more counts the rows of each concept.
        tol: stop when a pass lowers the objective by less than this share of it. The objective of a
            pass is that of each row in the moment before its own batch moves the centroids.
        space: one of ``shiftlens.concepts.space.SPACES``; in ``unit`` the centroids are put back to
            length one.
    """

    name: ClassVar[str] = "minibatch-kmeans"
    k: int = 20
    seed: int = 0
    n_starts: int = 4
    batch_size: int = 4096
    max_passes: int = 20
    tol: float = 5e-4
    space: str = "raw"

    def begin(self, view: View) -> "_MiniBatchFit":
        """Draw the sample and run the starts; see ``ConceptLearner.begin``."""
        starts = run_starts(
            view, self.k, self.seed, n_starts=self.n_starts, max_iter=_START_MOVES, tol=self.tol
        )
        return _MiniBatchFit(self, view, starts)


class _MiniBatchFit(Fitting):
    """Centroids that move batch by batch, and a last pass in which they stand."""

    def __init__(self, options: MiniBatchKMeans, view: View, starts: Starts) -> None:
        self._options, self._view, self._frame = options, view, starts.frame
        self._told, self._room = starts.report(), Room(starts.frame.centre)
        self._centroids = starts.best.centroids.double()
        # What the sample taught counts as much as so many rows.
        self._before_won = starts.best.counts.double()
        self._before, self._passes = math.inf, 0
        self._stands = False
        self._final: Pass | None = None
        self._begin_pass()

    def _begin_pass(self) -> None:
        self._won = torch.zeros_like(self._before_won)
        self._objective = 0.0
        self._worst = Worst(len(self._won))
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Cut the rows into batches, with those that the last chunk left over."""
        size = self._options.batch_size
        if self._waiting:
            room = size - sum(len(rows) for rows, _ in self._waiting)
            # A copy: what is left over must not hold its whole chunk in memory.
            self._waiting.append((states[:room].clone(), numbers[:room]))
            states, numbers = states[room:], numbers[room:]
            if sum(len(rows) for rows, _ in self._waiting) < size:
                return
            self._flush()
        whole = len(states) // size * size
        for start in range(0, whole, size):
            self._batch(states[start : start + size], numbers[start : start + size])
        if len(states) > whole:
            self._waiting.append((states[whole:].clone(), numbers[whole:]))

    def _flush(self) -> None:
        states = torch.cat([rows for rows, _ in self._waiting])
        numbers = torch.cat([some for _, some in self._waiting])
        self._waiting = []
        self._batch(states, numbers)

    def _batch(self, states: Acts, numbers: Tensor) -> None:
        centred = self._room.centred(states)
        if self._final is not None:
            self._final.add(centred, numbers)
            return
        seen = Pass(self._centroids.float(), self._frame, self._worst)
        seen.add(centred, numbers)
        self._objective += seen.objective
        self._won += seen.counts
        known = self._before_won + self._won - seen.counts
        total = (known + seen.counts).clamp_min(1)[:, None]
        means = (self._centroids * known[:, None] + seen.sums) / total
        moved = torch.where(seen.counts[:, None] > 0, means, self._centroids)
        self._centroids = self._frame.placed(moved)

    def end_pass(self) -> bool:
        """Put empty concepts elsewhere; when the objective stands, ask for one pass to count."""
        if self._waiting:
            self._flush()
        if self._final is not None:
            return False
        self._passes += 1
        gain = self._before - self._objective
        self._stands = self._passes > 1 and gain <= self._options.tol * self._objective
        self._before = self._objective
        self._repair()
        if self._stands or self._passes >= self._options.max_passes:
            self._final = Pass(self._centroids.float(), self._frame)
        self._before_won = self._won
        self._begin_pass()
        return True

    def _repair(self) -> None:
        empty = torch.nonzero(self._won == 0).flatten()
        if len(empty):
            rows = self._take(self._worst.rows()[: len(empty)])
            self._centroids[empty[: len(rows)]] = rows.double()

    def _take(self, numbers: np.ndarray) -> Vectors:
        return self._view.take(numbers) - self._frame.centre

    def learned(self) -> Learned:
        """The centroids in the space's coordinates."""
        assert self._final is not None  # the last pass
        report: dict[str, Any] = {
            "objective": self._final.objective,
            "iterations": self._passes,
            "converged": self._stands,
            **self._told,
        }
        vectors = self._final.centroids + self._frame.centre
        return Learned(vectors, "centroid", (), report)
