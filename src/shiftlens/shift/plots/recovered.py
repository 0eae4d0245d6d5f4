"""``recovery``: how near adding the shifts comes, beside the controls, with intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shiftlens.core.drawing.palette import BASE, CONTROL, INK, LINE, SOFT, TUNED
from shiftlens.core.drawing.paper import (
    SMALL,
    Axes,
    Drawing,
    at_ends,
    letters,
    named,
    paper,
    rows,
    ruled,
)
from shiftlens.core.errors import DataError

if TYPE_CHECKING:
    from shiftlens.shift.concept_shift import ConceptShift

_NAMES = {"affine": "affine map", "partition": "random groups"}
# Colour, width and dashes: the claim, the two controls it is always shown with, and the rest.
_LOOKS: dict[str, tuple[str, float, Any]] = {
    "concept": (TUNED, 2.6, "solid"),
    "global": (BASE, 1.8, (0, (5, 2))),
    "shuffled": (CONTROL, 1.6, (0, (1, 1.5))),
    "affine": (CONTROL, 1.3, (0, (6, 2, 1, 2))),
    "permuted": (CONTROL, 1.1, (0, (3, 2))),
    "random": (CONTROL, 1.1, (0, (1, 3))),
    "partition": (CONTROL, 1.1, (0, (8, 4))),
}


def recovered(shift: "ConceptShift") -> Drawing:
    """Curves over strength at the left, differences at strength 1 at the right.

    Raises:
        DataError: the shift holds no recovery.
    """
    curves: Mapping[str, Sequence[float]] = shift.recovery.get("centred_cosine") or {}
    if not curves:
        raise DataError(
            "this shift holds no recovery to draw", allowed="a shift that compare returned"
        )
    figure, (left, right) = paper(
        "Does adding the shifts lead to the tuned model?", 10.4, 4.4, columns=2, widths=(1.45, 1)
    )
    _curves(left, shift.recovery["strength"], curves)
    _differences(right, shift.recovery, [name for name in curves if name != "concept"])
    return figure


def _curves(axes: Axes, strengths: Sequence[float], curves: Mapping[str, Sequence[float]]) -> None:
    order = [name for name in _LOOKS if name in curves]
    order += [name for name in curves if name not in order]
    for depth, name in enumerate(reversed(order)):
        colour, width, dashes = _look(name)
        axes.plot(
            strengths, curves[name], color=colour, linewidth=width, linestyle=dashes,
            marker="o", markersize=2.4 + width, markeredgewidth=0, label=name, zorder=3 + depth,
        )  # fmt: skip
    axes.set_xlim(min(strengths), max(strengths))
    axes.set_xticks(strengths, [f"{one:g}" for one in strengths])
    axes.margins(y=0.06)
    ruled(axes)
    named(axes, "centred cosine on held-out samples", x="strength of the shift")
    ends = [(curves[name][-1], _NAMES.get(name, name), _text_colour(name)) for name in order]
    at_ends(axes, ends)


def _differences(axes: Axes, recovery: Mapping[str, Any], controls: Sequence[str]) -> None:
    found = [(name, recovery.get(f"concept_minus_{name}")) for name in controls]
    known = sorted(
        ((name, one) for name, one in found if one), key=lambda pair: pair[1]["estimate"]
    )
    axes.axvline(0, color=CONTROL, linewidth=1.0, zorder=1)
    for row, (name, one) in enumerate(known):
        above = one["low"] > 0
        colour = TUNED if above else CONTROL
        axes.plot(
            (one["low"], one["high"]), (row, row), color=colour, linewidth=2.2,
            solid_capstyle="round", label=f"interval {name}",
        )  # fmt: skip
        axes.plot(
            [one["estimate"]], [row], linestyle="none", marker="o", markersize=6.5,
            color=colour if above else "white", markeredgecolor=colour, label=name,
        )  # fmt: skip
        axes.annotate(
            f"{one['estimate']:+.2f}", (one["high"], row), xytext=(7, 0),
            textcoords="offset points", va="center", **letters(SMALL, INK if above else SOFT),
        )  # fmt: skip
    rows(axes, [_NAMES.get(name, name) for name, _ in known])
    axes.margins(x=0.2)
    axes.grid(visible=True, axis="x", color=LINE, linewidth=0.8)
    named(axes, "concept shifts less each control, 95 %", x="difference at strength 1")


def _look(name: str) -> tuple[str, float, Any]:
    return _LOOKS.get(name, (CONTROL, 1.1, "solid"))


def _text_colour(name: str) -> str:
    return {"concept": TUNED, "global": BASE}.get(name, SOFT)
