"""Lloyd's algorithm in pieces: one pass over rows, k-means++ starts, a whole run in memory.

rows (m, d) in blocks of bounded size, centroids (k, d); sums of a pass are kept in float64, so that
where the rows are cut into blocks does not matter. Nothing of the size of all rows is made.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from shiftlens.concepts.rows import blocks
from shiftlens.core.shapes import Acts, Vectors

_HELD = 2**16
"""Rows that are kept in mind before the worst served of them are picked out."""

TakeRows = Callable[[np.ndarray], Tensor]


@dataclass(frozen=True)
class Frame:
    """How points lie to the learner's space: centred, and on the unit sphere or free.

    Attributes:
        centre: (d,) taken off all rows; changes no distance, and keeps float32 products exact where
            the rows share a large mean.
        on_sphere: whether centroids are put back to length one, as in spherical k-means.
    """

    centre: Float[Tensor, " d"]
    on_sphere: bool = False

    def placed(self, means: Vectors) -> Vectors:
        """Means of rows as centroids."""
        if not self.on_sphere:
            return means
        return normalize(means + self.centre, dim=1) - self.centre


class Room:
    """Memory for one block of centred rows, used again for every block.

    Blocks that are asked for one by one, with small results kept between them, leave holes in the
    heap that the next one does not fit: a pass would end up with room for all rows.

    Args:
        centre: (d,) what is taken off.
    """

    def __init__(self, centre: Float[Tensor, " d"]) -> None:
        self._centre = centre
        self._held = centre.new_empty(0, len(centre))

    def centred(self, rows: Acts) -> Acts:
        """The rows (m, d) less the centre; valid until the next call."""
        if len(self._held) < len(rows):
            self._held = torch.empty_like(rows)
        return torch.sub(rows, self._centre, out=self._held[: len(rows)])


class Pass:
    """What one pass finds out: nearest centroids, the sums of their rows, who is served worst.

    ``counts`` (k,) are the rows of each centroid so far, ``sums`` (k, d) float64 their sums, and
    ``objective`` is the sum of squared distances to the centroids that the pass began with.

    Args:
        centroids: (k, d) centred.
        frame: where the rows lie.
        worst: what keeps the rows that are served worst; its own unless given.
    """

    def __init__(self, centroids: Vectors, frame: Frame, worst: "Worst | None" = None) -> None:
        self.centroids, self._frame = centroids, frame
        self._half = centroids.square().sum(dim=1) / 2
        device = centroids.device
        self.sums = torch.zeros(centroids.shape, dtype=torch.float64, device=device)
        self.counts = torch.zeros(len(centroids), dtype=torch.long, device=device)
        self.objective = 0.0
        self._worst = Worst(len(centroids)) if worst is None else worst

    def add(
        self, rows: Acts, numbers: Int[Tensor, " m"], lengths: Float[Tensor, " m"] | None = None
    ) -> Int[Tensor, " m"]:
        """See some centred rows of the pass; returns the nearest centroid of each.

        Args:
            rows: (m, d) centred.
            numbers: by which ``moved`` can ask for a row again.
            lengths: their squared lengths, where they are known.
        """
        squares = squared_lengths(rows) if lengths is None else lengths
        nearest = torch.addmm(self._half, rows, self.centroids.T, alpha=-1).min(dim=1)
        squared = (squares + 2 * nearest.values).clamp_min_(0)
        self.objective += float(squared.sum(dtype=torch.float64))
        self.counts += torch.bincount(nearest.indices, minlength=len(self.counts))
        if rows.device.type == "cpu":
            sums = torch.zeros_like(self.centroids).index_add_(0, nearest.indices, rows)
        else:  # as a product, whose order never changes
            sums = one_hot(nearest.indices, len(self.counts)).to(rows.dtype).T @ rows
        self.sums += sums
        self._worst.add(squared, numbers)
        return nearest.indices

    def moved(self, take: TakeRows) -> Vectors:
        """Where the centroids go: the means; an empty concept takes the row that is worst served.

        Args:
            take: gives the centred states of rows by their numbers.
        """
        means = (self.sums / self.counts.clamp_min(1)[:, None]).to(self.centroids.dtype)
        empty = torch.nonzero(self.counts == 0).flatten()
        if len(empty):
            rows = self._worst.rows()[: len(empty)]
            means[empty[: len(rows)]] = take(rows)
        return self._frame.placed(means) if self._frame.on_sphere else means


class Worst:
    """The rows of a pass that are farthest from their centroids; of equal ones the first seen.

    Args:
        most: how many at most: as many as there may be empty concepts.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._seen: list[tuple[Tensor, Tensor]] = []

    def add(self, squared: Tensor, numbers: Tensor) -> None:
        """See some rows; they are sorted out only when many have come together."""
        self._seen.append((squared, numbers))
        self._held += len(squared)
        if self._held > _HELD + self._most:
            self._seen = [self._farthest()]
            self._held = len(self._seen[0][0])

    def rows(self) -> np.ndarray:
        """Their numbers, worst first."""
        return self._farthest()[1].cpu().numpy()

    def _farthest(self) -> tuple[Tensor, Tensor]:
        squared = torch.cat([one for one, _ in self._seen])
        numbers = torch.cat([one.to(squared.device) for _, one in self._seen])
        least = squared.topk(min(self._most, len(squared))).values[-1]
        far = torch.nonzero(squared >= least).flatten()
        order = far[squared[far].argsort(descending=True, stable=True)[: self._most]]
        return squared[order], numbers[order]


@dataclass(frozen=True)
class Run:
    """One run of Lloyd's algorithm.

    Attributes:
        centroids: (k, d) centred.
        counts: (k,) rows of each.
        objective: sum of squared distances to them.
        iterations: how often the centroids were moved.
        converged: whether they stood still in the end.
    """

    centroids: Vectors
    counts: Int[Tensor, " k"]
    objective: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class Stop:
    """When to stop.

    Attributes:
        max_iter: after so many moves.
        moves: when the squared moves of all centroids sum to no more than this.
        gain: when a move lowers the objective by no more than this share of it; 0 for never.
    """

    max_iter: int
    moves: float
    gain: float = 0.0

    def stands(self, moves: float, before: float, now: float) -> bool:
        """Whether the centroids stand still."""
        return moves <= self.moves or (self.gain > 0 and before - now <= self.gain * now)


def run(data: Acts, start: Vectors, frame: Frame, stop: Stop, lengths: Tensor) -> Run:
    """Lloyd's algorithm on centred rows in memory."""
    numbers = torch.arange(len(data), device=data.device)
    parts = [
        (data[part], numbers[part], lengths[part])
        for part in blocks(len(data), data.shape[1], data.device)
    ]
    centroids, iterations, stands, before, moves = start, 0, False, math.inf, math.inf
    seen = _pass(parts, centroids, frame)
    while not stands and iterations < stop.max_iter:
        iterations += 1
        moved = seen.moved(lambda rows: data[torch.from_numpy(rows).to(data.device)])
        moves = float((moved - centroids).square().sum())
        stands = stop.stands(moves, before, seen.objective)
        centroids, before = moved, seen.objective
        if moves > 0:  # otherwise the rows were just seen with these very centroids
            seen = _pass(parts, centroids, frame)
    return Run(centroids, seen.counts, seen.objective, iterations, stands)


def _pass(parts: list[tuple[Tensor, Tensor, Tensor]], centroids: Vectors, frame: Frame) -> Pass:
    seen = Pass(centroids, frame)
    for rows, numbers, lengths in parts:
        seen.add(rows, numbers, lengths)
    return seen


def squared_lengths(rows: Acts) -> Float[Tensor, " n"]:
    """Squared length of each row, without a copy of the rows."""
    return torch.linalg.vector_norm(rows, dim=1).square()


def squared_distances(data: Acts, lengths: Tensor, points: Vectors) -> Tensor:
    """Squared distance of each row to each point: (n, k)."""
    halves = points.square().sum(dim=1) / 2
    return (lengths[:, None] + 2 * torch.addmm(halves, data, points.T, alpha=-1)).clamp_min_(0)


def plus_plus(data: Acts, lengths: Tensor, k: int, rng: Generator) -> Vectors:
    """Greedy k-means++: of a few rows drawn by squared distance, the one that helps most is next.

    Without the greed, starts miss groups so often that several of them together still do.
    (Arthur and Vassilvitskii 2007, section 2.2, for the draw.)
    """
    chosen = [int(rng.integers(len(data)))]
    halves = lengths[:, None] / 2
    nearest = squared_distances(data, lengths, data[chosen])[:, 0]
    trials = 2 + int(math.log(k))
    for _ in range(k - 1):
        weights = nearest.double().cpu().numpy()
        total = weights.sum()
        # All rows coincide with a start when there are fewer distinct rows than concepts.
        share = weights / total if total > 0 else np.full(len(data), 1 / len(data))
        drawn = rng.choice(len(data), trials, p=share)
        rows = torch.from_numpy(drawn).to(data.device)
        # Half the squared distances to the rows drawn, as in ``squared_distances``.
        apart = torch.addmm(lengths[rows] / 2, data, data[rows].T, alpha=-1).add_(halves)
        left = torch.minimum(nearest[:, None], apart.mul_(2).clamp_min_(0))
        best = int(left.sum(dim=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = left[:, best]
    return data[chosen].clone()
