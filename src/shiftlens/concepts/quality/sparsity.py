"""How few concepts a row needs: shares of non-zero codes, and how unequal the codes are."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.resampling import PerRow, figure_of, units_of
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Codes


def hoyer(codes: Codes) -> np.ndarray:
    """Hoyer's sparseness of each row of codes (n,): 0 where all are equal, 1 where one is active.

    (sqrt(k) - l1 / l2) / (sqrt(k) - 1); Hoyer 2004, section 3.1. NaN for rows without any code,
    where it is not defined.

    Raises:
        LearnError: there is a single concept: every row would be both.
    """
    k = codes.shape[1]
    if k < 2:
        raise LearnError("sparseness of a single code is not defined", allowed="k from 2 up")
    wide = codes.double().cpu().numpy()
    ones, twos = np.abs(wide).sum(axis=1), np.sqrt(np.square(wide).sum(axis=1))
    ratio = np.divide(ones, twos, out=np.full(len(wide), np.nan), where=twos > 0)
    return (math.sqrt(k) - ratio) / (math.sqrt(k) - 1)


def sparsity(
    codes: Codes,
    *,
    baselines: Mapping[str, Sequence[Codes]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> list[Figure]:
    """Share of non-zero codes, active concepts a row, and Hoyer's sparseness.

    A code is active where it is not exactly 0. Hoyer's sparseness leaves out rows without any code,
    which are counted, and is absent where k is 1 or no row has a code; so are baselines without any
    row that has one. Neither more nor less is
    better by itself: read it beside the reconstruction.

    Args:
        codes: (n, k) of the concepts.
        baselines: codes of the same rows under concepts that nobody learned; several of one name
            are averaged.
        groups: one a row; rows of one group (picture) are resampled together.
        seed: of the resampling.
        draws: resamples.

    Raises:
        LearnError: no rows, or codes that are not finite.
    """
    named = {name: list(them) for name, them in (baselines or {}).items() if them}
    every = [codes, *(one for them in named.values() for one in them)]
    if any(not bool(one.isfinite().all()) for one in every):
        raise LearnError("codes are not finite", remedy="look at the states")
    units = units_of(len(codes), groups)
    unit = "pictures" if groups is not None else "rows"
    silent = int((codes == 0).all(dim=1).sum())
    counts = {"rows without a code": silent}

    def figure(name: str, of: Callable[[Codes], np.ndarray]) -> Figure:
        beside = {key: _mean([of(one) for one in them]) for key, them in named.items()}
        return figure_of(
            name,
            PerRow.mean(of(codes)),
            {key: one for key, one in beside.items() if one.bottom.any()},
            units,
            unit=unit,
            better="",
            seed=seed,
            draws=draws,
            counts=counts,
        )

    k = codes.shape[1]
    found = [
        figure("non-zero codes", lambda one: _active(one) / k),
        figure("active concepts a row", _active),
    ]
    if k > 1 and silent < len(codes):
        found.append(figure("Hoyer sparseness", hoyer))
    return found


def _active(codes: Codes) -> np.ndarray:
    return (codes != 0).sum(dim=1).double().cpu().numpy()


def _mean(values: list[np.ndarray]) -> PerRow:
    """Rows averaged over several dictionaries; a row that one of them leaves out is left out."""
    return PerRow.mean(np.stack(values).mean(axis=0))
