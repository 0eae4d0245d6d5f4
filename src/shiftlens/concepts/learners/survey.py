"""The first pass over the rows: are they finite, where is their mean, which dimensions dominate?"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.learners.whitening import whitened
from shiftlens.concepts.rows import Rows, blocks
from shiftlens.concepts.space import RAW, Space, require_space, require_variance
from shiftlens.core.errors import LearnError

_FEWEST_DIMENSIONS = 32
_DOMINANT_SHARE = 0.5
_DOMINANT_DIMENSIONS = 0.02
_FEW = 4
_TIMES_THE_MEDIAN = 25.0  # of the variance; five times the usual spread
_LOOKED_AT = 256  # rows at a time, when different ones are counted
_DIGITS = 5
_RESOLUTION = 1e-6  # of the mean: what float32 sums can still tell from nothing


@dataclass(frozen=True)
class Survey:
    """What a learner should know before it begins.

    Attributes:
        n: rows.
        mean: (d,) float64.
        variance: (d,) float64, of each dimension; 0 where it is less than float32 can tell.
        norm: mean length of a row.
        zero_rows: rows that are nothing but zeros.
    """

    n: int
    mean: Float[Tensor, " d"]
    variance: Float[Tensor, " d"]
    norm: float
    zero_rows: int = 0

    @property
    def constant(self) -> int:
        """How many dimensions do not vary."""
        return int((self.variance == 0).sum())

    @property
    def dominant(self) -> tuple[int, ...]:
        """The few dimensions that carry half of the variance, if so few do; largest first.

        Few are 2 % of the dimensions, at least four, and each must have at least 25 times the
        median variance of those that vary: in rows of which no dimension stands out, however few
        rows there are, this names none. Narrow states, below 32 dimensions, have none either.
        """
        varying = self.variance[self.variance > 0]
        if len(self.variance) < _FEWEST_DIMENSIONS or not len(varying):
            return ()
        few = max(_FEW, int(_DOMINANT_DIMENSIONS * len(self.variance)))
        largest = self.variance.topk(few)
        shares = largest.values.cumsum(0) / self.variance.sum()
        needed = int((shares < _DOMINANT_SHARE).sum()) + 1
        if needed > few or largest.values[needed - 1] < _TIMES_THE_MEDIAN * varying.median():
            return ()
        return tuple(largest.indices[:needed].tolist())

    def report(self) -> dict[str, Any]:
        """What a person is told, where there is something to tell, as JSON.

        ``dominant_dimensions`` with the ``dominant_share`` of the variance in them,
        ``constant_dimensions`` and ``zero_rows``: how many.
        """
        counts = {"constant_dimensions": self.constant, "zero_rows": self.zero_rows}
        found: dict[str, Any] = {name: count for name, count in counts.items() if count}
        if dims := list(self.dominant):
            share = float(self.variance[dims].sum() / self.variance.sum())
            found |= {"dominant_dimensions": dims, "dominant_share": share}
        return found


class _Sums:
    """Sums over rows: float32 within a block, float64 over blocks."""

    def __init__(self, d: int, device: torch.device) -> None:
        self.shift: Tensor | None = None
        self.first = torch.zeros(d, dtype=torch.float64, device=device)
        self.second = torch.zeros(d, dtype=torch.float64, device=device)
        self.norms = torch.zeros((), dtype=torch.float64, device=device)
        self.bad = torch.zeros((), dtype=torch.long, device=device)
        self.zeros = torch.zeros((), dtype=torch.long, device=device)

    def add(self, states: Tensor) -> None:
        """Take a block (m, d) float32, which stays as it is."""
        # A length is finite only if every number of its row is, and so are the squares.
        norms = torch.linalg.vector_norm(states, dim=1)
        self.bad += (~torch.isfinite(norms)).sum()
        self.zeros += (norms == 0).sum()
        self.norms += norms.sum(dtype=torch.float64)
        # Sums around a point near the mean lose no digits to it.
        self.shift = states.mean(dim=0) if self.shift is None else self.shift
        centred = states - self.shift
        self.first += centred.sum(dim=0)
        self.second += centred.square_().sum(dim=0)


def survey(rows: Rows, device: torch.device) -> Survey:
    """Read every row once.

    Raises:
        LearnError: states that are not finite, or so large that their squares are not.
    """
    n, sums = len(rows), _Sums(rows.d, device)
    for _, chunk in rows.chunks():
        for part in blocks(len(chunk), rows.d, device):
            sums.add(chunk[part].to(device).float())
    if bad := int(sums.bad):
        raise LearnError(
            f"{bad} of {n} states are not finite",
            allowed="finite numbers; float16 ends at 65,504 and overflows to infinity",
            remedy="drop those rows, or harvest in bfloat16 or float32",
        )
    assert sums.shift is not None  # there is at least one row
    mean = sums.first / n
    variance = (sums.second / n - mean.square()).clamp_min(0)
    mean = mean + sums.shift
    variance[variance <= (_RESOLUTION * mean).square()] = 0
    return Survey(n, mean, variance, float(sums.norms) / n, int(sums.zeros))


def count_different(chunks: Iterable[tuple[Any, Tensor]], most: int, *, on_sphere: bool) -> int:
    """How many rows differ from one another, up to ``most``; where there are as many it stops.

    Args:
        chunks: one pass: numbers of rows, which do not matter, and their points.
        most: where counting ends.
        on_sphere: whether rows have length one, and differ by rounding where they are equal.
    """
    kept: list[Tensor] = []
    for _, points in chunks:
        for part in points.split(max(_LOOKED_AT, 2 * most)):
            rounded = part.round(decimals=_DIGITS) if on_sphere else part
            different: Tensor = torch.cat((*kept, rounded)).unique(dim=0)  # pyright: ignore
            if len(different) >= most:
                return most
            kept = [different]
    return sum(map(len, kept))


def space_of(name: str, rows: Rows, found: Survey, device: torch.device) -> Space:
    """The space of that name for these rows; ``white`` reads them once more.

    Raises:
        LearnError: there is no such space.
    """
    require_space(name)
    if name in ("raw", "unit"):
        return RAW if name == "raw" else Space("unit")
    mean = found.mean.float()
    if name == "centred":
        return Space("centred", mean)
    scale = (1 / require_variance(found.variance.sqrt())).float()
    if name == "standard":
        return Space("standard", mean, scale=scale)
    return whitened(rows, mean, scale, device)
