"""What else could be added to a concept: the controls that a concept's own shift must beat."""

import numpy as np
import torch
from torch import Tensor

from shiftlens.core.shapes import Acts, Assignment, Vectors
from shiftlens.shift.vectors import shift_vectors

_REPEATS = 5  # shuffles, permutations and random directions are averaged over this many
_RIDGE = 1e-2  # of the mean eigenvalue of the states' covariance


def control_shifts(
    base: Acts, tuned: Acts, labels: Assignment, vectors: Vectors, rng: np.random.Generator
) -> dict[str, Tensor]:
    """The shifts to add to each concept, one entry a control, each (repeats, k, d).

    ``concept``: its own mean change. ``global``: one mean change for all. ``shuffled``: mean
    changes under a shuffled assignment; tends to the global one, no order between these two is
    expected.
    ``permuted``: other concepts' changes. ``random``: random directions of the concepts' lengths.
    ``affine``: what one ridge-regularised affine map of all states does to the concept's vector.
    """
    k = len(vectors)
    own = shift_vectors(base, tuned, labels, k)
    everywhere = (tuned - base).mean(dim=0)
    shuffled = [
        shift_vectors(base, tuned, labels[torch.from_numpy(rng.permutation(len(labels)))], k)
        for _ in range(_REPEATS)
    ]
    permuted = [own[torch.from_numpy(rng.permutation(k))] for _ in range(_REPEATS)]
    noise = torch.from_numpy(rng.standard_normal((_REPEATS, *own.shape))).to(own)
    noise = torch.nn.functional.normalize(noise, dim=-1) * own.norm(dim=1)[:, None]
    return {
        "concept": own[None],
        "global": everywhere.expand(1, k, -1),
        "shuffled": torch.stack(shuffled),
        "permuted": torch.stack(permuted),
        "random": noise,
        "affine": affine_shift(base, tuned, vectors)[None],
    }


def affine_shift(base: Acts, tuned: Acts, vectors: Vectors) -> Vectors:
    """Where one affine map, fitted from base to tuned states by ridge regression, moves vectors."""
    mean_base, mean_tuned = base.mean(dim=0), tuned.mean(dim=0)
    x, y = base - mean_base, (tuned - mean_tuned) - (base - mean_base)
    gram = x.T @ x
    ridge = _RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
    eye = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram + ridge * eye, x.T @ y)
    return (vectors - mean_base) @ weights + (mean_tuned - mean_base)
