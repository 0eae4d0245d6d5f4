"""Rows to learn from, drawn by seed: sparse codes, overlapping groups, power-law spectra."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def planted(n: int, d: int, k: int, seed: int, *, active: int = 3, noise: float = 0.05) -> Tensor:
    """Each row is a non-negative mixture of a few of k unit atoms, with some noise: (n, d).

    Args:
        n: rows.
        d: width.
        k: atoms.
        seed: of everything.
        active: atoms a row.
        noise: length of the noise as a share of the usual length of a row.
    """
    random = torch.Generator().manual_seed(seed)
    atoms = normalize(torch.randn(k, d, generator=random), dim=1)
    chosen = torch.rand(n, k, generator=random).topk(active, dim=1).indices
    codes = torch.zeros(n, k).scatter_(1, chosen, 0.5 + torch.rand(n, active, generator=random))
    rows = codes @ atoms
    usual = float(rows.square().sum(dim=1).mean().sqrt())
    return rows + torch.randn(n, d, generator=random) * (noise * usual / d**0.5)


def blurred(n: int, d: int, k: int, seed: int, *, apart: float = 0.05) -> Tensor:
    """Groups that overlap nearly wholly: isotropic noise around centres that lie close, (n, d).

    This is the hard case for a search: no group stands out, and iterations go on for long.
    """
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=random) * apart
    labels = torch.randint(0, k, (n,), generator=random)
    return centres[labels] + torch.randn(n, d, generator=random)


def power_law(n: int, d: int, seed: int, *, decay: float = 1.0, scale: float = 1.0) -> Tensor:
    """Gaussian rows whose i-th standard deviation is ``scale * i ** -decay``, as states have.

    The axes are those of the array: no learner here looks at them.
    """
    random = torch.Generator().manual_seed(seed)
    spread = scale * torch.arange(1, d + 1, dtype=torch.float32) ** -decay
    return torch.randn(n, d, generator=random) * spread
