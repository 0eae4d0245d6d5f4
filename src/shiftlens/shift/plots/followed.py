"""``Trajectory.plot``: how far concepts drifted along the steps, with their intervals."""

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shiftlens.core.drawing.letters import listed
from shiftlens.core.drawing.palette import BAD, BASE, CONTROL, GOOD, INK, TUNED
from shiftlens.core.drawing.paper import (
    SMALL,
    Axes,
    Drawing,
    at_ends,
    letters,
    named,
    paper,
    ruled,
)
from shiftlens.core.errors import DataError
from shiftlens.core.intervals import Interval
from shiftlens.shift.effects import STATISTICS
from shiftlens.shift.verdicts import Verdict

if TYPE_CHECKING:
    from shiftlens.shift.curves import ConceptCurve, Trajectory

_TOLD_APART = (TUNED, BASE, GOOD, BAD)
_MARKERS = ("o", "s", "^", "D")
_TITLES = {"moved": "how far concepts moved", "own": "how far concepts moved apart from the rest"}


def followed(trajectory: "Trajectory", statistic: str) -> Drawing:
    """Curves of all concepts, and the share of other answers where somebody was asked.

    Raises:
        DataError: no such statistic, or no steps.
    """
    if statistic not in STATISTICS:
        raise DataError(f"unknown statistic {statistic!r}", allowed=", ".join(STATISTICS))
    if not trajectory.xs or not trajectory.concepts:
        raise DataError("this trajectory has no steps or no concepts to draw")
    asked = trajectory.answers is not None
    figure, panels = paper(
        "Drift along the " + ("scale of the adapter" if trajectory.axis == "scale" else "training"),
        10.4 if asked else 8.2, 4.8,
        columns=2 if asked else 1, widths=(1.7, 1) if asked else None,
    )  # fmt: skip
    _concepts(panels[0], trajectory, statistic)
    if trajectory.answers is not None:
        _answers(panels[1], trajectory, trajectory.answers)
    return figure


def _concepts(axes: Axes, trajectory: "Trajectory", statistic: str) -> None:
    def last(one: "ConceptCurve") -> float:
        end = one.curves[statistic].points[-1].estimate
        return end if math.isfinite(end) else -math.inf

    order = sorted(trajectory.concepts, key=last, reverse=True)
    for place, one in reversed(list(enumerate(order))):
        _curve(axes, trajectory.xs, one.curves[statistic].points, place, f"concept {one.index}")
    margin = trajectory.margins.get(statistic)
    if isinstance(margin, float | int) and math.isfinite(margin):
        axes.axhline(
            margin, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), zorder=2, label="margin"
        )
    _steps(axes, trajectory)
    axes.margins(y=0.07)
    named(axes, f"{_TITLES[statistic]}, in spreads within concepts", x=trajectory.axis)
    axes.set_ylim(axes.get_ylim())
    known = [(place, one) for place, one in enumerate(order) if math.isfinite(last(one))]
    ends = [(last(one), _name(one), _colour(place)) for place, one in known]
    if isinstance(margin, float | int) and math.isfinite(margin):
        ends.append((float(margin), "margin: less is nothing", INK))
    at_ends(axes, ends)


def _curve(
    axes: Axes, xs: Sequence[float], points: Sequence[Verdict], place: int, label: str
) -> None:
    colour, named_apart = _colour(place), place < len(_TOLD_APART)
    if named_apart:
        axes.fill_between(
            xs, [one.low for one in points], [one.high for one in points], color=colour,
            alpha=0.13, linewidth=0, label=f"interval of {label}",
        )  # fmt: skip
    axes.plot(
        xs, [one.estimate for one in points], color=colour,
        linewidth=2.0 if named_apart else 1.0, alpha=1.0 if named_apart else 0.7,
        marker=_MARKERS[place] if named_apart else ".", markersize=5, label=label,
        zorder=4 if named_apart else 3,
    )  # fmt: skip


def _answers(axes: Axes, trajectory: "Trajectory", answers: Sequence[Interval]) -> None:
    xs, shares = trajectory.xs, [one.estimate for one in answers]
    axes.fill_between(
        xs, [one.low for one in answers], [one.high for one in answers], color=BASE, alpha=0.15,
        linewidth=0, label="interval",
    )  # fmt: skip
    axes.plot(xs, shares, color=BASE, linewidth=2.0, marker="o", markersize=5, label="answers")
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    _steps(axes, trajectory)
    named(axes, "answers that differ from the base's", x=trajectory.axis)
    axes.annotate(
        f"{100 * shares[-1]:.0f} %", (xs[-1], shares[-1]), xytext=(7, 0),
        textcoords="offset points", va="center", annotation_clip=False, **letters(SMALL, BASE),
    )  # fmt: skip


def _steps(axes: Axes, trajectory: "Trajectory") -> None:
    """Marks at the steps themselves where they are few, and lines to read values off."""
    xs = trajectory.xs
    if len(xs) <= 8 and _are_apart(xs):
        axes.set_xticks(xs, [f"{one:g}" for one in xs])
    if len(xs) > 1:
        axes.set_xlim(xs[0], xs[-1])
    ruled(axes)


def _are_apart(xs: Sequence[float]) -> bool:
    span = xs[-1] - xs[0]
    return all(after - before >= 0.06 * span for before, after in itertools.pairwise(xs))


def _colour(place: int) -> str:
    return _TOLD_APART[place] if place < len(_TOLD_APART) else CONTROL


def _name(one: "ConceptCurve") -> str:
    return f"{one.index} {listed(one.words[:2], 20)}" if one.words else f"concept {one.index}"
