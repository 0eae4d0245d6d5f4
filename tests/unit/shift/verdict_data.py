"""Planted changes: blobs whose members all move, some of them, or none."""

import torch
from torch import Tensor

from shiftlens.shift.refits import Split

K, D = 4, 16


def noise(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def planted(
    n: int = 800, *, moved: dict[int, float] | None = None, wobble: float = 0.3, seed: int = 0
) -> tuple[Split, Tensor]:
    """Four blobs of unit spread in 16 dimensions, half of the rows in each part.

    Args:
        n: rows, each a picture of its own.
        moved: how far each blob moves along a direction of its own, in spreads.
        wobble: standard deviation of every row's own change, in each dimension.
        seed: of everything.

    Returns:
        the split, and the blob of every judging row.
    """
    centres = 6.0 * noise(K, D, seed=7)
    blobs = torch.arange(n) % K
    base = centres[blobs] + noise(n, D, seed=seed)
    delta = wobble * noise(n, D, seed=seed + 1000)
    spread = D**0.5
    for blob, far in (moved or {}).items():
        direction = torch.nn.functional.normalize(noise(D, seed=50 + blob), dim=0)
        delta[blobs == blob] += far * spread * direction
    half, numbers = n // 2, torch.arange(n // 2)
    split = Split(base[:half], delta[:half], numbers, base[half:], delta[half:], numbers)
    return split, blobs[half:]
