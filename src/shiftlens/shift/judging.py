"""One half of the samples judged by what was learned from the other.

The target of a concept is the mean tuned state of the judging samples whose base state is nearest
to it. Cosines are centred: the tuned mean of the estimation half is taken off both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.shapes import Assignment, Vectors
from shiftlens.shift.controls import (
    control_shifts,
    group_means,
    random_partition,
    shuffles,
)
from shiftlens.shift.halves import Halves, Pairs, cut
from shiftlens.shift.vectors import shift_vectors

# One row for all repetitions, or one for each.
Some = Float[Tensor, "#repeats k d"]

FEWEST = 3  # judging samples that a concept needs to have a target


@dataclass(frozen=True)
class Judged:
    """What one judging half says.

    Attributes:
        curves: for ``concept`` and each control the mean centred cosine at each strength.
        ceiling: the same for the estimation half's tuned mean of the concept: what is to be had
            from as many samples of the very states that are wanted. With k-means it *is* the
            concept with its shift at strength 1 (base centroid + mean change), so that there the
            share of it that is reached says how far the learner's vectors are from means, and
            little else.
        oracle: what the concept's true tuned mean would score. The target is a mean of few samples
            and noisy; the squared length of the true mean is that of the target less the variance
            of such means, and the root of their ratio is the cosine that nothing can exceed but by
            luck. It is the limit of the ceiling as the estimation half grows. (It takes rows for
            independent; several rows of one sample make it lean high, and noise larger than the
            mean itself makes it lean low.)
        kept: how many concepts had enough judging samples.
    """

    curves: Mapping[str, list[float]]
    ceiling: float
    oracle: float
    kept: int

    def at(self, place: int) -> dict[str, float]:
        """Every control at one strength, by its place, and the two ceilings."""
        values = {name: curve[place] for name, curve in self.curves.items()}
        return {**values, "ceiling": self.ceiling, "oracle": self.oracle}


@dataclass(frozen=True)
class Fitted:
    """Concepts of the estimation half and their targets in the judging half.

    Attributes:
        vectors: (k, d) concepts.
        labels: concept of each estimation row; ``judged`` of each judging row.
        kept: which concepts have a target.
        centre: (d,) tuned mean of the estimation half.
        targets: (k, d) mean tuned states of the judging rows, less the centre.
    """

    vectors: Vectors
    labels: Assignment
    judged: Int[Tensor, " m"]
    kept: Tensor
    centre: Float[Tensor, " d"]
    targets: Vectors


def fit_half(halves: Halves, learner: ConceptLearner) -> Fitted:
    """Learn concepts from the estimation half and find their targets in the other."""
    learned = learner.fit(halves.base)
    vectors, labels = learned.vectors, learned.assign(halves.base)
    judged = learned.assign(halves.judging_base)
    centre = halves.tuned.mean(dim=0)
    return Fitted(
        vectors=vectors,
        labels=labels,
        judged=judged,
        kept=torch.bincount(judged, minlength=len(vectors)) >= FEWEST,
        centre=centre,
        targets=group_means(halves.judging_tuned - centre, judged[None], len(vectors))[0],
    )


def judge(
    halves: Halves, learner: ConceptLearner, strengths: Sequence[float], rng: np.random.Generator
) -> Judged:
    """Curves of the concepts' own shifts and of all controls, and the two ceilings."""
    fitted = fit_half(halves, learner)
    vectors, labels, kept = fitted.vectors, fitted.labels, fitted.kept
    k, centre, targets = len(vectors), fitted.centre, fitted.targets[None]
    shifts = control_shifts(halves.base, halves.tuned, labels, vectors, rng)
    found = {
        name: cosine_curve((vectors - centre)[None], one, targets, kept, strengths)
        for name, one in shifts.items()
    }
    groups = random_partition(halves.base, halves.tuned, labels, k, rng)
    # Sizes are kept on both sides, so that the same numbers of groups have enough rows.
    theirs = group_means(halves.judging_tuned - centre, shuffles(fitted.judged, rng), k)
    found["partition"] = cosine_curve(
        groups.vectors - centre, groups.shifts, theirs, kept, strengths
    )
    means = group_means(halves.tuned - centre, labels[None], k)
    (ceiling,) = cosine_curve(means, torch.zeros_like(means), targets, kept, (0.0,))
    return Judged(found, ceiling, _oracle(halves, fitted), int(kept.sum()))


def cosine_curve(
    starts: Some, shifts: Some, targets: Some, kept: Tensor, strengths: Sequence[float]
) -> list[float]:
    """Mean cosine of ``start + strength * shift`` with the target at each strength.

    Args:
        starts: (repeats or 1, k, d) centred vectors.
        shifts: (repeats, k, d) what is added.
        targets: (repeats or 1, k, d) centred.
        kept: (k,) which concepts count.
        strengths: how much is added.
    """
    a, b, t = (one[:, kept].double() for one in (starts, shifts, targets))
    scale = torch.tensor(list(strengths), dtype=torch.float64, device=a.device)[:, None, None]
    # Three inner products of each pair give the cosine at every strength.
    along = (a * t).sum(dim=-1) + scale * (b * t).sum(dim=-1)
    square = a.square().sum(dim=-1) + 2 * scale * (a * b).sum(dim=-1)
    length = (square + scale.square() * b.square().sum(dim=-1)).clamp_min(0).sqrt()
    cosines = along / (length * t.norm(dim=-1)).clamp_min(1e-12)
    return cosines.mean(dim=(1, 2)).tolist()


def choose_strength(
    pairs: Pairs,
    rows: np.ndarray,
    learner: ConceptLearner,
    grid: Sequence[float],
    rng: np.random.Generator,
) -> float | None:
    """The best strength for concepts' own shifts by these rows alone, both ways round one cut.

    Returns:
        a strength of the grid; ``None`` where the rows are too few to be cut again.
    """
    parts = [rows[part] for part in cut(pairs.samples[rows], rng)]
    if min(len(part) for part in parts) < max(learner.k, 2 * FEWEST):
        return None
    found: list[list[float]] = []
    for estimation, judging in (parts, parts[::-1]):
        halves = pairs.halves(estimation, judging)
        fitted = fit_half(halves, learner)
        k = len(fitted.vectors)
        own = shift_vectors(halves.base, halves.tuned, fitted.labels, k)[None]
        start = (fitted.vectors - fitted.centre)[None]
        found.append(cosine_curve(start, own, fitted.targets[None], fitted.kept, grid))
    mean = np.nanmean(np.asarray(found), axis=0) if np.isfinite(found).any() else None
    return None if mean is None else float(grid[int(mean.argmax())])


def _oracle(halves: Halves, fitted: Fitted) -> float:
    """Cosine of targets with the true means that they are noisy estimates of: root mean square."""
    k, targets = len(fitted.vectors), fitted.targets[fitted.kept].double()
    counts = torch.bincount(fitted.judged, minlength=k)[fitted.kept].double()
    away = (halves.judging_tuned - fitted.centre).double() - fitted.targets.double()[fitted.judged]
    spread = torch.zeros(k).to(away).index_add_(0, fitted.judged, away.square().sum(dim=1))
    noise = spread[fitted.kept] / (counts - 1) / counts
    square = targets.square().sum(dim=1).clamp_min(1e-24)
    return float((1 - noise / square).mean().clamp_min(0).sqrt())
