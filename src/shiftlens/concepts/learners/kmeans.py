"""K-means: a concept is the mean of the states that are nearest to it.

acts (n, d), vectors (k, d); minimises the sum of squared distances of each row to its centroid
(Khayatan et al. 2025, section 3.2).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.core.shapes import Acts


@learners.register("kmeans")
@dataclass(frozen=True)
class KMeans(ConceptLearner):
    """Lloyd's algorithm from greedy k-means++ starts; the best of several.

    Use when concepts should be groups of samples that a person can look through.
    Cost: O(n k d) per iteration. Relations: the learner of the published method.

    Our own few lines rather than a library's: they run on the device where the states are, and the
    same seed gives the same bits there. A test holds them to scikit-learn's objective.

    Args:
        k: number of concepts.
        seed: same seed, same bits on one device.
        n_starts: starts; the one with the lowest objective wins.
        max_iter: iterations of each start at most.
        tol: stop when the centroids move less than this share of the mean variance.
    """

    name: ClassVar[str] = "kmeans"
    k: int = 20
    seed: int = 0
    n_starts: int = 4
    max_iter: int = 100
    tol: float = 1e-4
    space: str = "raw"

    def begin(self, view: View) -> "_KMeansFit":
        """Learn centroids; see ``ConceptLearner.begin``."""
        return _KMeansFit(self, view)


class _KMeansFit(Fitting):
    """For now: every row in memory."""

    def __init__(self, options: KMeans, view: View) -> None:
        self._options = options
        self._chunks: list[Tensor] = []

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Keep the rows."""
        self._chunks.append(states)

    def end_pass(self) -> bool:
        """One pass is enough."""
        return False

    def learned(self) -> Learned:
        """Run all starts."""
        options = self._options
        data = torch.cat(self._chunks)
        # Centring changes nothing in the result and keeps float32 distances exact.
        mean = data.mean(dim=0)
        centred = data - mean
        rng = np.random.default_rng(options.seed)
        runs = [self._run(centred, rng) for _ in range(options.n_starts)]
        centroids, labels, objective, iterations = min(runs, key=lambda run: run[2])
        sizes = tuple(torch.bincount(labels, minlength=options.k).tolist())
        report = {
            "objective": objective,
            "iterations": iterations,
            "converged": iterations < options.max_iter,
        }
        return Learned(centroids + mean, "centroid", sizes, report)

    def _run(self, data: Tensor, rng: Generator) -> tuple[Tensor, Tensor, float, int]:
        options = self._options
        lengths = data.square().sum(dim=1)
        centroids = _plus_plus(data, lengths, options.k, rng)
        limit = options.tol * float(data.var(dim=0, correction=0).mean())
        iterations, shift = 0, float("inf")
        while shift > limit and iterations < options.max_iter:
            iterations += 1
            squared = _squared_distances(data, lengths, centroids)
            labels = squared.argmin(dim=1)
            moved = _means(data, labels, squared, options.k)
            shift = float((moved - centroids).square().sum())
            centroids = moved
        squared = _squared_distances(data, lengths, centroids)
        nearest = squared.min(dim=1)
        return centroids, nearest.indices, float(nearest.values.sum()), iterations


def _squared_distances(data: Tensor, lengths: Tensor, centroids: Tensor) -> Tensor:
    cross = data @ centroids.T
    squares = lengths[:, None] - 2 * cross + centroids.square().sum(dim=1)
    return squares.clamp_min(0)


def _plus_plus(data: Tensor, lengths: Tensor, k: int, rng: Generator) -> Tensor:
    """Greedy k-means++: of a few rows drawn by squared distance, the one that helps most is next.

    Without the greed, starts miss groups so often that several of them together still do.
    """
    chosen = [int(rng.integers(len(data)))]
    nearest = (data - data[chosen[0]]).square().sum(dim=1)
    trials = 2 + int(math.log(k))
    for _ in range(k - 1):
        weights = nearest.double().cpu().numpy()
        total = weights.sum()
        # All rows coincide with a start when there are fewer distinct rows than concepts.
        share = weights / total if total > 0 else np.full(len(data), 1 / len(data))
        drawn = rng.choice(len(data), trials, p=share)
        squared = _squared_distances(data, lengths, data[torch.from_numpy(drawn)])
        left = torch.minimum(nearest[:, None], squared)
        best = int(left.sum(dim=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = left[:, best]
    return data[chosen].clone()


def _means(data: Tensor, labels: Tensor, squared: Tensor, k: int) -> Tensor:
    """Mean of each concept's rows; an empty concept takes the row that is worst served."""
    counts = torch.bincount(labels, minlength=k)
    sums = torch.zeros(k, data.shape[1], dtype=data.dtype, device=data.device)
    sums.index_add_(0, labels, data)
    means = sums / counts.clamp_min(1)[:, None]
    empty = torch.nonzero(counts == 0).flatten()
    if len(empty):
        worst = squared.gather(1, labels[:, None]).flatten().argsort(descending=True)
        means[empty] = data[worst[: len(empty)]]
    return means
