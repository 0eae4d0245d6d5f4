"""Whitening: the map after which no dimension and no direction of the rows stands out."""

import torch
from torch import Tensor

from shiftlens.concepts.rows import Rows, blocks
from shiftlens.concepts.space import Space

_FLOOR = 1e-6
"""Least eigenvalue, as a share of the mean one: bounds the map where nothing varies."""


def whitened(rows: Rows, mean: Tensor, scale: Tensor, device: torch.device) -> Space:
    """The whitening that keeps each dimension closest to itself, from one pass, and its inverse.

    Dimensions are given unit variance first; their correlation matrix R is shrunk towards its mean
    variance m, (1 - s) R + s m I, with the share s of Ledoit and Wolf (2004, "A well-conditioned
    estimator for large-dimensional covariance matrices", section 3). It depends on the rows alone,
    and makes fewer rows than dimensions possible. The map is D^(-1/2) R^(-1/2), D the variances
    ("ZCA-cor" of Kessy, Lewin and Strimmer 2018): shrinking the covariance itself would leave
    a massive dimension large, as all others are small beside the mean variance.

    Every direction counts the same afterwards, those along which groups lie apart no more than
    those of noise: where only single dimensions are too large, ``standard`` is the milder remedy.

    Cost: O(n d^2 + d^3) and a few d x d matrices in float64.

    Args:
        rows: the states.
        mean: (d,) float32 of the rows.
        scale: (d,) float32, what gives each dimension unit variance; 1 where nothing varies.
        device: where to compute.
    """
    correlation, fourth = _moments(rows, mean, scale, device)
    values, axes = torch.linalg.eigh(_shrunk(correlation, fourth, len(rows)))
    usual = float(values.mean())
    # Rows that are all the same have no covariance: they are left as they are.
    roots = values.clamp_min(_FLOOR * usual).sqrt() if usual > 0 else torch.ones_like(values)
    factors = scale.double()
    whitening = factors[:, None] * ((axes / roots) @ axes.T)
    colouring = ((axes * roots) @ axes.T) / factors
    return Space("white", mean, whitening=whitening.float(), colouring=colouring.float())


def _moments(rows: Rows, mean: Tensor, scale: Tensor, device: torch.device) -> tuple[Tensor, float]:
    """Covariance (d, d) float64 of scaled rows, and the mean fourth power of their lengths."""
    d = rows.d
    total = torch.zeros(d, d, dtype=torch.float64, device=device)
    fourth = torch.zeros((), dtype=torch.float64, device=device)
    for _, chunk in rows.chunks():
        part = torch.zeros(d, d, device=device)
        for at in blocks(len(chunk), d, device):
            centred = (chunk[at].to(device).float() - mean).mul_(scale)
            part.addmm_(centred.T, centred)
            lengths = torch.linalg.vector_norm(centred, dim=1).double().square()
            fourth += lengths.square().sum()
        total += part
    n = len(rows)
    return total / n, float(fourth) / n


def _shrunk(covariance: Tensor, fourth: float, n: int) -> Tensor:
    """The covariance drawn towards its mean variance."""
    d = len(covariance)
    usual = float(covariance.diagonal().mean())
    squares = float(covariance.square().sum())
    spread = squares - d * usual**2
    error = (fourth - squares) / n
    share = min(max(error / spread, 0.0), 1.0) if spread > 0 else 1.0
    shrunk = (1 - share) * covariance
    shrunk.diagonal().add_(share * usual)
    return shrunk
