"""How much of the states their concepts explain: R squared, read chunk by chunk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.quality.coding import Dictionary, left_over
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.resampling import PerRow, figure_of, units_of
from shiftlens.concepts.rows import Rows, rows_of
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts


def explained(concepts: Dictionary, acts: Acts | Rows) -> float:
    """Share of the states' variance that their concepts explain (R squared).

    Any encoder: rows are encoded, the codes taken back to states, and what is left is squared and
    divided by the squared distance of the rows to their mean. Below 0 where the mean alone would
    do better. Directions of rows of length one (``space="unit"``) cannot tell how long a state was:
    there the rows are measured at length one.

    Args:
        concepts: of the rows' site.
        acts: (n, d) states, best held-out ones, or rows that are read chunk by chunk.

    Raises:
        LearnError: all rows are one, or the width is another.
    """
    rows = _as_told(concepts, rows_of(acts))
    total = squares_around_mean(rows)
    return 1 - float(_left(concepts, rows).sum() / total.sum())


def reconstruction(
    concepts: Dictionary,
    acts: Acts | Rows,
    *,
    baselines: Mapping[str, Sequence[Dictionary]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Figure:
    """R squared beside that of baselines; a bootstrap over pictures, given these concepts.

    The mean around which the variance is taken stays that of all rows in every resample. Rows of
    concepts that cannot tell lengths are measured at length one, see ``explained``.

    Args:
        concepts: of the rows' site.
        acts: (n, d) states, best held-out ones: on rows that concepts were learned from, more
            concepts always win.
        baselines: concepts that nobody learned, by name; see ``baselines_of``. Several of one name
            are averaged, and are of one space.
        groups: one a row; rows of one group (picture) are resampled together.
        seed: of the resampling.
        draws: resamples.

    Raises:
        LearnError: all rows are one, or the width is another.
    """
    rows = rows_of(acts)
    units = units_of(len(rows), groups)

    def kept(them: Sequence[Dictionary]) -> PerRow:
        told = _as_told(them[0], rows)
        total = squares_around_mean(told).numpy()
        left = torch.stack([_left(one, told) for one in them]).mean(dim=0).numpy()
        return PerRow(total - left, total)

    others = {name: kept(them) for name, them in (baselines or {}).items() if them}
    return figure_of(
        "reconstruction (R2)",
        kept([concepts]),
        others,
        units,
        unit="pictures" if groups is not None else "rows",
        seed=seed,
        draws=draws,
        counts={"left out": 0},
    )


def squares_around_mean(rows: Rows) -> Tensor:
    """Squared distance of every row to the mean of all rows: (n,) float64.

    Raises:
        LearnError: no rows, all rows are one, or states that are not finite.
    """
    if not len(rows):
        raise LearnError("there are no rows to measure", allowed="one row or more")
    sums = sum(states.double().sum(dim=0).cpu() for _, states in rows.chunks())
    mean = torch.as_tensor(sums) / len(rows)
    if not bool(torch.isfinite(mean).all()):
        raise LearnError("states are not finite", remedy="drop those rows")
    found = torch.zeros(len(rows), dtype=torch.float64)
    size = 0.0
    for numbers, states in rows.chunks():
        wide = states.double().cpu()
        found[numbers.cpu()] = (wide - mean).square().sum(dim=1)
        size = max(size, float(wide.square().sum(dim=1).max()))
    # A mean of equal rows is off by a rounding: what is left of them is no variance.
    if float(found.sum()) <= 1e-24 * size * len(rows):
        raise LearnError(
            "all rows are one and the same: they have no variance to explain",
            remedy="measure on rows of several samples",
        )
    return found


def _left(concepts: Dictionary, rows: Rows) -> Tensor:
    """Squared distance of every row to what its codes stand for: (n,) float64."""
    found = torch.zeros(len(rows), dtype=torch.float64)
    for numbers, states in rows.chunks():
        found[numbers.cpu()] = left_over(concepts, states)
    return found


@dataclass(frozen=True)
class _OfLengthOne:
    """Rows, each divided by its length; a row of zeros stays one."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def d(self) -> int:
        """Width of a row."""
        return self.rows.d

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See ``Rows.chunks``."""
        for numbers, states in self.rows.chunks():
            yield numbers, normalize(states.float(), dim=1)

    def take(self, numbers: np.ndarray) -> Tensor:
        """See ``Rows.take``."""
        return normalize(self.rows.take(numbers).float(), dim=1)


def _as_told(concepts: Dictionary, rows: Rows) -> Rows:
    """The rows, as far as codes of these concepts tell them."""
    lengthless = concepts.kind == "direction" and concepts.encoder.space.name == "unit"
    return _OfLengthOne(rows) if lengthless else rows
