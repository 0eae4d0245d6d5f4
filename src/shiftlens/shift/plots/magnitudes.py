"""``magnitude``: how far each concept moved, against how alike its samples moved."""

from typing import TYPE_CHECKING

from shiftlens.core.drawing.labels import Named, beside
from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import CONTROL, PAPER, TUNED
from shiftlens.core.drawing.paper import Drawing, named, paper, ruled

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptChange, ConceptShift

_LEAST, _MOST = 30.0, 2600.0  # points squared of a dot: of no samples, of all samples


def magnitudes(shift: "ConceptShift") -> Drawing:
    """A dot a concept, as large as its share of the samples."""
    figure, (axes,) = paper("How far concepts moved, and how alike", 8.0, 5.2)
    changes = sorted(shift.changes(), key=lambda one: -one.share)
    across = [one.magnitude / shift.state_norm for one in changes]
    along = [one.consistency for one in changes]
    areas = [_LEAST + _MOST * one.share for one in changes]
    axes.scatter(
        across, along, s=areas, color=TUNED, alpha=0.8, edgecolor=PAPER, linewidth=1.0,
        label="concepts",
    )  # fmt: skip
    axes.margins(x=0.22, y=0.14)
    ruled(axes)
    ruled(axes, "x")
    named(
        axes,
        "a dot a concept; its area is its share of the samples",
        x="length of the shift, in mean lengths of states",
        y="consistency (cosine, leave one out)",
    )
    if min(along) < 0:
        axes.axhline(0, color=CONTROL, linewidth=1.0, zorder=1)
    radii = [(area / 3.1416) ** 0.5 for area in areas]
    beside(
        axes, [Named(*dot) for dot in zip(across, along, radii, map(_name, changes), strict=True)]
    )
    return figure


def _name(change: "ConceptChange") -> str:
    return f"{change.index} {listed(change.contrastive_base[:2] or change.words_base[:2], 20)}"
