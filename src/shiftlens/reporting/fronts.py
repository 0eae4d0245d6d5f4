"""Effect against cost as geometry: where every setting, whisker, tick and budget goes."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftlens.reporting.curves import Tick
from shiftlens.reporting.frames import Frame
from shiftlens.reporting.numbers import bounds, decimal

WIDTH, HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 22, 18, 50
_FRAME = Frame.within(WIDTH, HEIGHT, (_LEFT, _RIGHT, _TOP, _BOTTOM))
_TICKS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0)
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_APART = 46.0  # pixels between two tick labels
_LABELS = {
    "refusals_kept": "refusals lost",
    "loss": "accuracy lost off target",
    "accuracy": "accuracy lost on other answers",
    "first_token_kl": "first token moved, nats",
    "repeats": "more repetition",
    "dose": "dose",
}


@dataclass(frozen=True)
class Dot:
    """One setting.

    Attributes:
        kind: ``chosen``, ``front``, ``asked``, ``dropped``, ``held-out`` or ``control``.
        x: pixels.
        y: pixels.
        text: shown on hover, and read aloud.
        number: on the front from its cheapest cell on; an empty text elsewhere.
        label_x: where the number stands.
        label_y: the same.
        across: ends of the cost's interval; empty where it is not drawn.
        along: ends of the effect's.
    """

    kind: str
    x: float
    y: float
    text: str
    number: str = ""
    label_x: float = 0.0
    label_y: float = 0.0
    across: tuple[float, ...] = ()
    along: tuple[float, ...] = ()


@dataclass(frozen=True)
class FrontChart:
    """The chart ready to be drawn; ``step`` is the front's path, ``limit`` where a budget lies."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    step: str
    limit: float | None
    limit_text: str
    limit_end: str
    description: str
    frame: Frame = _FRAME


def worst(one: Mapping[str, Any], cost: str) -> dict[str, float] | None:
    """Of a setting's costs of one kind the largest; the dose has no interval."""
    if cost == "dose":
        return {"estimate": one["dose"], "low": one["dose"], "high": one["dose"]}
    found = [
        value for name, value in one["costs"].items() if name == cost or name.startswith(f"{cost}:")
    ]
    return max(found, key=lambda value: (value["estimate"], value["high"]), default=None)


def cost_label(cost: str) -> str:
    """A kind of cost, or one of several, in words."""
    head, _, data = cost.partition(":")
    label = _LABELS.get(head, head.replace("_", " "))
    return f"{label} ({data})" if data else label


def front_chart(
    document: Mapping[str, Any], cost: str, label: str, *, all_told: bool = False
) -> FrontChart | None:
    """Lay out the cells of a search, or of several strengths, by one cost.

    Args:
        document: of a search; without what was held out, of several strengths.
        cost: the horizontal axis: a kind of cost, or ``dose``.
        label: of that axis.
        all_told: every cell has its interval, and its strength beside it; for a few cells.

    Returns:
        the chart, or ``None`` where no cell has both numbers.
    """
    kinds = _kinds(document, cost)
    known = [(kind, one) for kind, one in kinds if one["effect"] and worst(one, cost)]
    if not known:
        return None
    x = _across(cost, [worst(one, cost) for _, one in known], _limit(document, cost))
    y, y_ticks = _along([one["effect"] for _, one in known])
    order = [document["cells"][at] for at in document["fronts"].get(cost, [])]
    # Only one front is listed below the charts, so only its cells have numbers.
    listed = order if cost == document["against"] else []
    numbers = {id(one): str(place) for place, one in enumerate(listed, start=1)}
    if all_told:
        numbers = {id(one): f"{one['cell']['strength']:g}" for one in document["cells"]}
    dots = [
        _dot(kind, one, cost, x, y, numbers.get(id(one), ""), all_told=all_told)
        for kind, one in known
    ]
    limit = _limit(document, cost)
    at = None if limit is None else x(limit)
    return FrontChart(
        title=f"Effect against {label}",
        x_label=label if cost == "dose" else f"{label} (square-root scale)",
        y_label="effect",
        x_ticks=_ticks(known, cost, x, limit),
        y_ticks=y_ticks,
        dots=tuple(sorted(_spread(dots), key=lambda dot: _ORDER.index(dot.kind))),
        step=_step([(x(_value(one, cost)), y(one["effect"]["estimate"])) for one in order]),
        limit=at,
        limit_text="" if limit is None else f"budget {decimal(limit, 3).rstrip('0').rstrip('.')}",
        limit_end="end" if at is not None and at > WIDTH / 2 else "start",
        description=f"{len(known)} settings, effect against {label}: "
        + "; ".join(dot.text for dot in dots if dot.kind in ("chosen", "front", "held-out")),
    )


_ORDER = ("dropped", "asked", "control", "front", "chosen", "held-out")


def _kinds(document: Mapping[str, Any], cost: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Every setting with how it is drawn."""
    edge = set(document["fronts"].get(cost, []))
    found: list[tuple[str, Mapping[str, Any]]] = []
    for place, one in enumerate(document["cells"]):
        kind = "dropped" if one["dropped"] else "front" if place in edge else "asked"
        found.append(("chosen" if place == document["chosen"] else kind, one))
    found += [("control", one) for one in document.get("controls", ())]
    return [*found, ("held-out", document["held_out"])] if "held_out" in document else found


def _value(one: Mapping[str, Any], cost: str) -> float:
    found = worst(one, cost)
    return 0.0 if found is None else found["estimate"]


def _limit(document: Mapping[str, Any], cost: str) -> float | None:
    """The tightest budget on this kind of cost."""
    found: list[float] = []
    for text in document["budgets"]:
        name, _, number = text.partition(" <= ")
        if name.partition(":")[0] == cost:
            found.append(float(number))
    return min(found, default=None)


def _scale(cost: str) -> Callable[[float], float]:
    """Square roots tell small costs apart and let large ones fit in; a dose is shown as it is."""
    if cost == "dose":
        return float
    return lambda value: math.copysign(math.sqrt(abs(value)), value)


def _across(cost: str, costs: Sequence[Any], limit: float | None) -> Callable[[float], float]:
    """Cost to pixels."""
    scale = _scale(cost)
    values = [one["estimate"] for one in costs] + ([] if limit is None else [limit])
    low, high = scale(min(0.0, *values)), scale(max(0.02, *values))
    span = WIDTH - _RIGHT - _LEFT

    def place(value: float) -> float:
        share = (scale(value) - low) / (high - low)
        return round(_LEFT + 8 + min(1.0, max(0.0, share)) * (span - 20), 1)

    return place


def _along(effects: Sequence[Any]) -> tuple[Callable[[float], float], tuple[Tick, ...]]:
    """Effect to pixels, on a plain scale that holds zero."""
    values = [one[key] for one in effects for key in ("low", "high")]
    least, most = min(0.0, *values), max(0.02, *values)
    step = next((s for s in _STEPS if (most - least) / s <= 5.01), _STEPS[-1])
    low, high = math.floor(least / step + 1e-9) * step, math.ceil(most / step - 1e-9) * step

    def place(value: float) -> float:
        share = (value - low) / (high - low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)

    n = round((high - low) / step)
    digits = 2 if round(step * 100) % 10 else 1
    ticks = tuple(
        Tick(place(low + step * i), decimal(low + step * i, digits)) for i in range(n + 1)
    )
    return place, ticks


def _ticks(
    known: Sequence[tuple[str, Mapping[str, Any]]],
    cost: str,
    x: Callable[[float], float],
    limit: float | None,
) -> tuple[Tick, ...]:
    most = max([_value(one, cost) for _, one in known] + [limit or 0.0, 0.02])
    found = [Tick(x(0.0), "0")]
    for value in _TICKS:
        if value <= most and x(value) - found[-1].at >= _APART:
            found.append(Tick(x(value), f"{value:g}"))
    return tuple(found)


def _dot(
    kind: str,
    one: Mapping[str, Any],
    cost: str,
    x: Callable[[float], float],
    y: Callable[[float], float],
    number: str,
    *,
    all_told: bool,
) -> Dot:
    price, effect = worst(one, cost), one["effect"]
    assert price is not None  # asked before
    paid = decimal(price["estimate"], 3)
    said = f"effect {decimal(effect['estimate'])} {bounds(effect)}, cost {paid}"
    names = {"held-out": "on held-out samples: ", "control": "random direction, held-out: "}
    at, height = x(price["estimate"]), y(effect["estimate"])
    whiskers = all_told or kind in ("chosen", "front", "held-out")
    return Dot(
        kind=kind,
        x=at,
        y=height,
        text=f"{names.get(kind, '')}{one['name']}: {said}",
        number=number,
        label_x=at + 9,
        label_y=height - 8,
        across=(x(price["low"]), x(price["high"])) if whiskers and cost != "dose" else (),
        along=(y(effect["low"]), y(effect["high"])) if whiskers else (),
    )


def _spread(dots: Sequence[Dot]) -> list[Dot]:
    """Numbers that would cover each other, one below the other."""
    placed: list[Dot] = []
    for dot in dots:
        moved = dot
        while moved.number and any(
            other.number
            and abs(other.label_x - moved.label_x) < 14
            and abs(other.label_y - moved.label_y) < 13
            for other in placed
        ):
            moved = replace(moved, label_y=moved.label_y + 13)
        placed.append(moved)
    return placed


def _step(points: Sequence[tuple[float, float]]) -> str:
    """The front as stairs: between two cells nothing better was found."""
    if len(points) < 2:
        return ""
    path = [f"M{points[0][0]} {points[0][1]}"]
    for (_, before), (across, along) in itertools.pairwise(points):
        path.append(f"L{across} {before}L{across} {along}")
    return "".join(path)
