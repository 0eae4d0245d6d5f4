"""How far each concept moved, in units of the spread of its own states, free of the bias of noise.

base (n, d) states, delta (n, d) their changes. The norm of a mean of noisy changes is never zero;
the mean inner product of the changes of *different* pictures is, on average, exactly the squared
norm of the true mean change. Everything here is built from such inner products, so that an effect
of zero has an estimate around zero, below zero included.

Two effects are told apart (see docs/method.md): ``moved``, the concept's mean change, and ``own``,
that change minus the mean change of all samples. Both are divided by the root mean squared distance
of base states to the mean of their concept, and carry the sign of the squared estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.core.shapes import Acts, Assignment

STATISTICS = ("moved", "own")
"""Names of the effects, in the order of the columns of every array here."""


@dataclass(frozen=True)
class Cells:
    """Rows of one picture in one concept, summed: what every resample is made of.

    Attributes:
        concept: (c,) concept of each cell.
        group: (c,) picture of each cell.
        counts: (c,) rows in it.
        base: (c, d) sum of its base states.
        delta: (c, d) sum of its changes.
        squares: (c,) sum of the squared lengths of its base states.
    """

    concept: Tensor
    group: Tensor
    counts: Float[Tensor, " c"]
    base: Float[Tensor, "c d"]
    delta: Float[Tensor, "c d"]
    squares: Float[Tensor, " c"]

    @staticmethod
    def of(base: Acts, delta: Acts, labels: Assignment, groups: Tensor, k: int) -> "Cells":
        """Sum the rows of each picture in each concept, in float64.

        Args:
            base: (n, d) base states.
            delta: (n, d) changes of the same rows.
            labels: (n,) concept of each row.
            groups: (n,) index of each row's picture.
            k: number of concepts.
        """
        keys, place = torch.unique(groups * k + labels, return_inverse=True)
        size, wide = len(keys), (base.double(), delta.double())
        sums = [torch.zeros(size, x.shape[1]).double().index_add_(0, place, x) for x in wide]
        lengths = wide[0].square().sum(dim=1)
        return Cells(
            concept=keys % k,
            group=keys // k,
            counts=torch.bincount(place, minlength=size).double(),
            base=sums[0],
            delta=sums[1],
            squares=torch.zeros(size).double().index_add_(0, place, lengths),
        )


@dataclass(frozen=True)
class Everywhere:
    """The mean change of all samples, from rows that judge nothing.

    Attributes:
        shift: (d,) the mean.
        square: unbiased estimate of its squared length.
    """

    shift: Float[Tensor, " d"]
    square: float

    @staticmethod
    def of(delta: Acts, groups: Tensor, weights: Tensor | None = None) -> "Everywhere":
        """From the changes of the estimation part; ``weights`` are multiplicities of pictures."""
        zero = torch.zeros(len(delta), dtype=torch.long)
        cells = Cells.of(torch.zeros_like(delta), delta, zero, groups, 1)
        own = torch.ones(len(cells.group)).double() if weights is None else weights[cells.group]
        total = (own[:, None] * cells.delta).sum(dim=0)
        square = mean_square(cells, own, 1)
        return Everywhere(total / (own * cells.counts).sum(), float(square[0]))


def effects(
    cells: Cells,
    k: int,
    everywhere: Everywhere,
    weights: Tensor | None = None,
    *,
    scale: float | None = None,
) -> Float[Tensor, "k 2"]:
    """``moved`` and ``own`` of each concept: (k, 2); NaN where fewer than two pictures are left.

    Args:
        cells: of the judging part.
        k: number of concepts.
        everywhere: the mean change of the estimation part.
        weights: (pictures,) how often each picture counts, for resamples; once each by default.
        scale: length of a spread; that of these concepts by default.
    """
    own = torch.ones(len(cells.group)).double() if weights is None else weights[cells.group]
    square = mean_square(cells, own, k)
    mean = mean_change(cells, own, k)
    rest = square - 2 * mean @ everywhere.shift.double() + everywhere.square
    both = torch.stack([square, rest], dim=1)
    return both.sign() * both.abs().sqrt() / (spread(cells, k, own) if scale is None else scale)


def spread(cells: Cells, k: int, own: Tensor) -> float:
    """Root mean squared distance of base states to the mean of their concept, over all concepts.

    Pooled: the spread of a single small concept depends on where its borders happen to fall, and
    would make its effect look large or small with them.
    """
    rows = _rows(cells, own, k)
    mean = _sums(own[:, None] * cells.base, cells.concept, k) / rows[:, None]
    within = _sums(own * cells.squares, cells.concept, k) - rows * mean.square().sum(dim=1)
    # Each concept's mean is taken from its own rows and costs one degree of freedom.
    left = float(rows.nansum()) - int((rows > 0).sum())
    square = float(within.nansum()) / left if left > 0 else 0.0
    return square**0.5 if square > 0 else float("nan")


def pictures(cells: Cells, k: int) -> list[int]:
    """How many different pictures each concept has."""
    return torch.bincount(cells.concept, minlength=k).tolist()


def group_numbers(groups: Sequence[str]) -> tuple[Tensor, int]:
    """Names of pictures as numbers from 0, and how many there are."""
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    return torch.from_numpy(numbers.astype(np.int64).reshape(-1)), len(names)


def mean_square(cells: Cells, own: Tensor, k: int) -> Float[Tensor, " k"]:
    """Mean inner product of the changes of different pictures: unbiased for the squared length.

    Args:
        cells: what is summed.
        own: (c,) weight of each cell.
        k: number of concepts.
    """
    weighted = own[:, None] * cells.delta
    total = _sums(weighted, cells.concept, k).square().sum(dim=1)
    same = _sums(weighted.square().sum(dim=1), cells.concept, k)
    rows = own * cells.counts
    pairs = _sums(rows, cells.concept, k).square() - _sums(rows.square(), cells.concept, k)
    return torch.where(pairs > 0, (total - same) / pairs, torch.nan)


def mean_change(cells: Cells, own: Tensor, k: int) -> Float[Tensor, "k d"]:
    """Mean change of each concept's rows; NaN where it has none."""
    return _sums(own[:, None] * cells.delta, cells.concept, k) / _rows(cells, own, k)[:, None]


def _rows(cells: Cells, own: Tensor, k: int) -> Tensor:
    rows = _sums(own * cells.counts, cells.concept, k)
    return torch.where(rows > 0, rows, torch.nan)


def _sums(values: Tensor, concept: Tensor, k: int) -> Tensor:
    return torch.zeros(k, *values.shape[1:], dtype=values.dtype).index_add_(0, concept, values)
