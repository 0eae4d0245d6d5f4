"""What else could be added to a concept: the controls that a concept's own shift must beat."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from shiftlens.core.shapes import Acts, Assignment, Vectors
from shiftlens.shift.vectors import differences, shift_vectors

_REPEATS = 5  # everything that is drawn at random is averaged over this many draws
_RIDGE = 1e-2  # of the mean eigenvalue of the states' covariance

Means = Float[Tensor, "repeats k d"]


def control_shifts(
    base: Acts, tuned: Acts, labels: Assignment, vectors: Vectors, rng: np.random.Generator
) -> dict[str, Means]:
    """The shifts to add to each concept, one entry a control, each (repeats, k, d).

    ``concept``: its own mean change. ``global``: one mean change for all. ``shuffled``: the true
    concepts and targets, with mean changes taken under a shuffled assignment; tends to the global
    one, no order between these two is expected. ``permuted``: other concepts' changes. ``random``:
    random directions of the concepts' lengths. ``affine``: what one ridge-regularised affine map of
    all states does to the concept's vector. (``random_partition`` is a control of another kind: it
    replaces the concepts themselves.)
    """
    k, delta = len(vectors), differences(base, tuned)
    own = shift_vectors(base, tuned, labels, k)
    permuted = [own[torch.from_numpy(rng.permutation(k))] for _ in range(_REPEATS)]
    noise = torch.from_numpy(rng.standard_normal((_REPEATS, *own.shape))).to(own)
    noise = torch.nn.functional.normalize(noise, dim=-1) * own.norm(dim=1)[:, None]
    return {
        "concept": own[None],
        "global": delta.mean(dim=0).expand(1, k, -1),
        "shuffled": group_means(delta, shuffles(labels, rng), k),
        "permuted": torch.stack(permuted),
        "random": noise,
        "affine": affine_shift(base, tuned, vectors)[None],
    }


@dataclass(frozen=True)
class Partition:
    """Random groups in place of concepts, several times over.

    Attributes:
        vectors: mean base state of each group.
        shifts: mean change of each group.
    """

    vectors: Means
    shifts: Means


def random_partition(
    base: Acts, tuned: Acts, labels: Assignment, k: int, rng: np.random.Generator
) -> Partition:
    """The control ``partition``: samples fall into k random groups as large as the concepts.

    The whole procedure is then run on these groups: their mean base states stand for the concept
    vectors, their mean changes for the shifts, and, where recovery is judged on samples, random
    groups of the judging half for the targets. It shows what the procedure says where there are no
    concepts at all, while ``shuffled`` keeps the concepts and takes only their own changes away.
    """
    groups = shuffles(labels, rng)
    delta = differences(base, tuned)
    return Partition(group_means(base.to(delta), groups, k), group_means(delta, groups, k))


def shuffles(labels: Assignment, rng: np.random.Generator) -> Int[Tensor, "repeats n"]:
    """Random orders of the labels, which keep the sizes of the groups."""
    drawn = [rng.permutation(len(labels)) for _ in range(_REPEATS)]
    return labels[torch.from_numpy(np.stack(drawn))]


def group_means(values: Acts, groups: Int[Tensor, "repeats n"], k: int) -> Means:
    """Mean of the rows of each group, for several groupings at once; zero for an empty group."""
    members = torch.nn.functional.one_hot(groups, k).to(values).transpose(1, 2)
    return (members @ values) / members.sum(dim=2).clamp_min(1)[:, :, None]


def affine_shift(base: Acts, tuned: Acts, vectors: Vectors) -> Vectors:
    """Where one affine map, fitted from base to tuned states by ridge regression, moves vectors."""
    mean_base, mean_tuned = base.mean(dim=0), tuned.mean(dim=0)
    x, y = base - mean_base, (tuned - mean_tuned) - (base - mean_base)
    gram = x.T @ x
    ridge = _RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
    eye = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram + ridge * eye, x.T @ y)
    return (vectors - mean_base) @ weights + (mean_tuned - mean_base)
