"""Norm-matched random controls: as much change, in directions that mean nothing."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.directions import random_like
from shiftlens.steering.intervening import Intervention


def random_like_this(one: Intervention, seed: int) -> Intervention:
    """The same intervention with a random direction of equal length; gate and scope stay.

    An affine edit is turned as a whole: it reads and writes random directions as strongly as its
    own, and what it reads stands to what it writes as before. Its mean stays, so that it does
    nothing where it did nothing. How much it changes states can still differ: they vary more along
    some directions than along others.
    """
    if isinstance(one.vector, SteeringVector):
        return replace(one, vector=random_like(one.vector, seed))
    return replace(one, vector=_turned(one.vector, seed))


def _turned(edit: AffineEdit, seed: int) -> AffineEdit:
    """The edit under a random rotation of the space that its two maps span."""
    left, right = edit.left.double(), edit.right.double()
    own = torch.linalg.qr(torch.cat([left, right.T], dim=1)).Q
    other = _random_frame(own.shape[0], own.shape[1], seed).to(own.device)
    return replace(
        edit,
        left=(other @ (own.T @ left)).to(edit.left.dtype),
        right=((right @ own) @ other.T).to(edit.right.dtype),
        name=f"random edit like {edit.name}",
        provenance={**edit.provenance, "seed": seed},
    )


def _random_frame(d: int, m: int, seed: int) -> Tensor:
    """(d, m) float64: m orthonormal columns in uniformly random directions."""
    noise = np.random.default_rng(seed).standard_normal((d, m))
    q, r = torch.linalg.qr(torch.from_numpy(noise))
    return q * torch.sign(torch.diagonal(r))
