"""The first pass over the rows: are they finite, where is their mean, which dimensions dominate?"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.rows import Rows
from shiftlens.concepts.space import RAW, Space, require_space, require_variance
from shiftlens.core.errors import LearnError

_FEWEST_DIMENSIONS = 32
_DOMINANT_SHARE = 0.5
_DOMINANT_DIMENSIONS = 0.02


@dataclass(frozen=True)
class Survey:
    """What a learner should know before it begins.

    Attributes:
        n: rows.
        mean: (d,) float64.
        variance: (d,) float64, of each dimension.
        norm: mean length of a row.
    """

    n: int
    mean: Float[Tensor, " d"]
    variance: Float[Tensor, " d"]
    norm: float

    @property
    def dominant(self) -> tuple[int, ...]:
        """The few dimensions that carry over half of the variance, if so few do; largest first.

        Few are 2 % of the dimensions, at least one; narrow states, below 32, have none.
        """
        total = float(self.variance.sum())
        if len(self.variance) < _FEWEST_DIMENSIONS or not total > 0:
            return ()
        order = self.variance.argsort(descending=True)
        shares = self.variance[order].cumsum(0) / total
        few = max(1, int(_DOMINANT_DIMENSIONS * len(order)))
        needed = int((shares < _DOMINANT_SHARE).sum()) + 1
        return tuple(order[:needed].tolist()) if needed <= few else ()

    def report(self) -> dict[str, Any]:
        """What a person is told: dominant dimensions, and the share of the variance in them."""
        dims = list(self.dominant)
        if not dims:
            return {}
        share = float(self.variance[dims].sum() / self.variance.sum())
        return {"dominant_dimensions": dims, "dominant_share": share}


def survey(rows: Rows, device: torch.device) -> Survey:
    """Read every row once.

    Raises:
        LearnError: states that are not finite.
    """
    d, bad, norms = rows.d, 0, 0.0
    shift: Tensor | None = None
    sums = torch.zeros(2, d, dtype=torch.float64, device=device)
    for _, chunk in rows.chunks():
        states = chunk.to(device).double()
        bad += int((~torch.isfinite(states).all(dim=1)).sum())
        # Sums around a point near the mean lose no digits to it.
        shift = states.mean(dim=0) if shift is None else shift
        centred = states - shift
        sums += torch.stack((centred.sum(dim=0), centred.square().sum(dim=0)))
        norms += float(states.norm(dim=1).sum())
    if bad:
        raise LearnError(
            f"{bad} of {len(rows)} states are not finite",
            allowed="finite numbers; float16 ends at 65,504 and overflows to infinity",
            remedy="drop those rows, or harvest in bfloat16 or float32",
        )
    assert shift is not None  # there is at least one row
    n = len(rows)
    mean = sums[0] / n
    return Survey(n, mean + shift, (sums[1] / n - mean.square()).clamp_min(0), norms / n)


def space_of(name: str, rows: Rows, found: Survey, device: torch.device) -> Space:
    """The space of that name for these rows.

    Raises:
        LearnError: there is no such space.
    """
    require_space(name)
    if name in ("raw", "unit"):
        return RAW if name == "raw" else Space("unit")
    mean = found.mean.float()
    if name == "centred":
        return Space("centred", mean)
    if name == "standard":
        return Space("standard", mean, scale=(1 / require_variance(found.variance.sqrt())).float())
    raise NotImplementedError(name)
