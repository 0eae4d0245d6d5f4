"""The nearest of a few points, for many: by one matrix product, and exact where rounding decides.

points (n, d), centres (k, d), float32.
"""

import math

import torch
from torch import Tensor

from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors

_EXACT = "donot_use_mm_for_euclid_dist"
_MARGIN = 4
"""Times the square root of d: how many roundings a product of rows is taken to be off by."""
_EQUAL = 1e-6
"""Squared distances that differ by no more than this share of the smaller one are equal."""


def distances_to(points: Acts, centres: Vectors) -> Codes:
    """Euclidean distances (n, k), each from its own two points alone.

    Not through squared lengths, which many rows are compared by otherwise: these take the small
    digits along, and equal centres would tie in one batch and not in another.
    """
    return torch.cdist(points, centres, compute_mode=_EXACT)


def nearest(points: Acts, centres: Vectors) -> Assignment:
    """Index of the nearest centre of each point (n,); of equally near ones the first.

    A point's centre does not depend on the points beside it: products tell most points' centres
    apart, and where their rounding could decide, the distances themselves are taken.
    """
    if len(centres) == 1:
        return torch.zeros(len(points), dtype=torch.long, device=points.device)
    origin = centres.mean(dim=0)
    moved, around = points - origin, centres - origin
    # Half the squared distances, less what is the same for all centres.
    scores = torch.addmm(around.square().sum(dim=1) / 2, moved, around.T, alpha=-1)
    best = scores.topk(2, dim=1, largest=False)
    reach = torch.linalg.vector_norm(moved, dim=1) + torch.linalg.vector_norm(around, dim=1).max()
    rounding = _MARGIN * math.sqrt(points.shape[1]) * torch.finfo(points.dtype).eps
    unsure = best.values[:, 1] - best.values[:, 0] <= rounding * reach.square()
    labels = best.indices[:, 0].clone()
    if bool(unsure.any()):
        labels[unsure] = _first_nearest(points[unsure], centres)
    return labels


def _first_nearest(points: Acts, centres: Vectors) -> Tensor:
    squared = distances_to(points, centres).square()
    least = squared.min(dim=1, keepdim=True).values
    return (squared <= least * (1 + _EQUAL)).long().argmax(dim=1)
