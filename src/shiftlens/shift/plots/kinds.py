"""The figures of a ``ConceptShift``, by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from shiftlens.core.drawing.paper import Drawing
from shiftlens.core.errors import DataError
from shiftlens.shift.plots.drifted import drifted
from shiftlens.shift.plots.magnitudes import magnitudes
from shiftlens.shift.plots.matched import matched
from shiftlens.shift.plots.recovered import recovered

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptShift

KINDS = ("recovery", "magnitude", "matching", "drift")


def draw(shift: "ConceptShift", kind: str) -> Drawing:
    """One figure of a shift.

    Raises:
        DataError: no such kind, or a shift without what it draws.
    """
    drawn: dict[str, Callable[[ConceptShift], Drawing]] = dict(
        zip(KINDS, (recovered, magnitudes, matched, drifted), strict=True)
    )
    if kind not in drawn:
        raise DataError(f"no figure of a shift is called {kind!r}", allowed=", ".join(KINDS))
    return drawn[kind](shift)
