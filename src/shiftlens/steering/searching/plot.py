"""``Search.plot``: effect against cost, the front, and what held-out samples say of the choice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shiftlens.core.drawing.labels import Named, beside
from shiftlens.core.drawing.letters import families, shown
from shiftlens.core.drawing.palette import BAD, BASE, CONTROL, INK, PAPER, SOFT, TUNED
from shiftlens.core.drawing.paper import SMALL, Axes, Drawing, letters, named, paper, ruled
from shiftlens.steering.searching.budgets import read_budget

if TYPE_CHECKING:
    from shiftlens.steering.searching.found import Search
    from shiftlens.steering.searching.measured import Measured

_LISTED = 9  # settings of the front that are named
_COSTS = {
    "dose": "dose: length of the change over that of the states",
    "first_token_kl": "how far off-target first tokens moved (KL, nats)",
    "loss": "loss off target",
    "repeats": "answers that repeat themselves",
}
# How each kind of setting is drawn: marker, area, inside, edge.
_LOOKS: dict[str, tuple[str, float, str, str]] = {
    "dropped": ("o", 16, "none", CONTROL),
    "asked": ("o", 26, CONTROL, PAPER),
    "random direction, held out": ("X", 46, PAPER, INK),
    "front": ("o", 52, TUNED, PAPER),
    "chosen": ("D", 74, TUNED, INK),
    "chosen, held out": ("s", 74, PAPER, BASE),
}


def front_figure(search: "Search", against: str | None) -> Drawing:
    """Every setting as a dot.

    Raises:
        SteeringError: no such cost was measured.
    """
    cost = against or search.against
    front = search.front(cost)  # refuses a cost that nobody measured
    figure, (axes,) = paper("What each setting does, and what it costs", 9.6, 5.4)
    groups = {
        "dropped": [one for one in search.cells if one.dropped],
        "asked": [one for one in search.cells if not one.dropped and one not in front],
        "random direction, held out": list(search.controls),
        "front": [one for one in front if one is not search.chosen],
        "chosen": [search.chosen],
        "chosen, held out": [search.held_out],
    }
    stairs = [_place(one, cost) for one in front if one.effect is not None]
    axes.plot(
        [x for x, _ in stairs], [y for _, y in stairs], color=TUNED, linewidth=1.6, alpha=0.7,
        drawstyle="steps-post", label="_stairs", zorder=2,
    )  # fmt: skip
    for name, found in groups.items():
        _dots(axes, name, [one for one in found if _is_known(one, cost)], cost)
    _limit(axes, search.budgets, cost)
    _dress(axes, search, cost)
    _front(axes, front)
    beside(axes, _numbers(groups, front, cost))
    return figure


def _dots(axes: Axes, name: str, found: "Sequence[Measured]", cost: str) -> None:
    marker, area, inside, edge = _LOOKS[name]
    places = [_place(one, cost) for one in found]
    if not places:
        return
    if name in ("chosen", "front", "chosen, held out"):
        _whiskers(axes, found, cost, BASE if name == "chosen, held out" else TUNED)
    axes.scatter(
        [x for x, _ in places], [y for _, y in places], marker=marker, s=area, label=name,
        facecolor=inside, edgecolor=edge, linewidth=1.0 if edge == PAPER else 1.7, zorder=4,
    )  # fmt: skip


def _whiskers(axes: Axes, found: "Sequence[Measured]", cost: str, colour: str) -> None:
    alpha = 0.8 if len(found) == 1 else 0.35
    for one in found:
        x, y = _place(one, cost)
        price = one.worst(cost)
        assert price is not None  # asked before
        assert one.effect is not None  # the same
        style: dict[str, Any] = {"color": colour, "linewidth": 1.3, "alpha": alpha, "zorder": 3}
        axes.plot((x, x), (one.effect.low, one.effect.high), label="_effect", **style)
        axes.plot((price.low, price.high), (y, y), label="_cost", **style)


def _limit(axes: Axes, budgets: Sequence[str], cost: str) -> None:
    """The tightest budget on this kind of cost."""
    limits = [
        one.limit
        for one in map(read_budget, budgets)
        if one.covers(cost) or one.measure.startswith(f"{cost}:")
    ]
    if not limits:
        return
    at = min(limits)
    axes.axvline(at, color=BAD, linewidth=1.4, linestyle=(0, (4, 3)), label="budget", zorder=1)
    axes.text(
        at, 0.99, f" budget {at:g}", transform=axes.get_xaxis_transform(), va="top",
        **letters(SMALL, BAD),
    )  # fmt: skip


def _dress(axes: Axes, search: "Search", cost: str) -> None:
    axes.margins(x=0.1, y=0.14)
    ruled(axes)
    ruled(axes, "x")
    goal = search.about["objective"]
    label = shown(str(goal.get("label") or goal["name"]), 60)
    more = " (less is better)" if search.chosen.lower_is_better else ""
    named(
        axes, "every setting, on the half that chose; whiskers: 95 %",
        x=_COSTS.get(cost, shown(cost, 60)), y=f"{label}{more}",
    )  # fmt: skip
    marks, _ = axes.get_legend_handles_labels()
    axes.legend(
        handles=marks[::-1], loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False,
        borderaxespad=0.0, labelcolor=SOFT, prop={"family": families(), "size": SMALL},
    )  # fmt: skip


def _front(axes: Axes, front: "Sequence[Measured]") -> None:
    """The front's settings by name, beside the numbers that stand at their dots."""
    shown_ones = front[:_LISTED]
    lines = [f"{number}  {shown(one.name, 38)}" for number, one in enumerate(shown_ones, start=1)]
    rest = len(front) - len(shown_ones)
    text = "\n".join(["front, the cheapest first", *lines, *([f"and {rest} more"] if rest else [])])
    axes.text(
        1.025, 0.0, text, transform=axes.transAxes, va="bottom", linespacing=1.6,
        **letters(SMALL, SOFT),
    )  # fmt: skip


def _numbers(
    groups: "dict[str, list[Measured]]", front: "Sequence[Measured]", cost: str
) -> list[Named]:
    """The front's dots have numbers; the others are only not to be covered."""
    places = {id(one): str(number) for number, one in enumerate(front[:_LISTED], start=1)}
    dots = [
        Named(*_place(one, cost), (_LOOKS[group][1] / 3.1416) ** 0.5 + 1, places.get(id(one), ""))
        for group, found in groups.items()
        for one in found
        if _is_known(one, cost)
    ]
    return sorted(dots, key=lambda dot: not dot.name)


def _place(one: "Measured", cost: str) -> tuple[float, float]:
    price = one.worst(cost)
    assert price is not None  # asked before
    assert one.effect is not None  # the same
    return price.estimate, one.effect.estimate


def _is_known(one: "Measured", cost: str) -> bool:
    return one.effect is not None and one.worst(cost) is not None
