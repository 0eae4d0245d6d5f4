"""``drift``: a row a concept, and what fine-tuning did to it, measure by measure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import BASE, CONTROL, SOFT, TUNED
from shiftlens.core.drawing.paper import SMALL, Axes, Drawing, letters, named, paper, rows

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptShift


def drifted(shift: "ConceptShift") -> Drawing:
    """The length of every shift, how alike samples moved, and how many words stayed."""
    changes = sorted(shift.changes(), key=lambda one: -one.magnitude)
    figure, panels = paper(
        "What became of each concept", 10.0, 1.5 + 0.34 * len(changes),
        columns=3, widths=(1.5, 1, 1), share_y=True,
    )  # fmt: skip
    moved = [one.magnitude / shift.state_norm for one in changes]
    _bars(panels[0], moved, TUNED)
    _dots(panels[1], [one.consistency for one in changes], TUNED)
    _dots(panels[2], [one.overlap for one in changes], BASE)
    for axes in panels[1:]:
        axes.tick_params(axis="y", labelleft=False, length=0)
        axes.spines["left"].set_visible(False)
    rows(
        panels[0],
        [f"{listed(o.contrastive_base[:3] or o.words_base[:3], 26)}  {o.index}" for o in changes],
    )
    named(panels[0], "length of the shift", x="in mean lengths of states")
    named(panels[1], "consistency of its samples", x="cosine, leave one out")
    named(panels[2], "words that stayed", x="overlap of the word lists")
    return figure


def _bars(axes: Axes, values: Sequence[float], colour: str) -> None:
    axes.barh(range(len(values)), values, height=0.62, color=colour, label="length")
    for row, value in enumerate(values):
        axes.annotate(
            f"{value:.2f}", (value, row), xytext=(4, 0), textcoords="offset points", va="center",
            **letters(SMALL, SOFT),
        )  # fmt: skip
    axes.margins(x=0.12)
    axes.set_xlim(left=0)


def _dots(axes: Axes, values: Sequence[float], colour: str) -> None:
    least = min(0.0, *values)
    axes.hlines(range(len(values)), least, values, color=colour, linewidth=1.2, alpha=0.5)
    axes.plot(
        values, range(len(values)), linestyle="none", marker="o", markersize=6, color=colour,
        label="values",
    )  # fmt: skip
    for row, value in enumerate(values):
        axes.annotate(
            f"{value:.2f}", (value, row), xytext=(7, 0), textcoords="offset points", va="center",
            **letters(SMALL, SOFT),
        )  # fmt: skip
    axes.set_xticks([-1, -0.5, 0, 0.5, 1] if least < 0 else [0, 0.5, 1])
    axes.set_xlim(1.08 * least - 0.02, 1.14)
    if least < 0:
        axes.axvline(0, color=CONTROL, linewidth=0.8, zorder=1)
