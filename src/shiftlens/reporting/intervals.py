"""Dots with intervals on a horizontal axis, as shares of its width, and the goal beside them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.reporting.numbers import bounds, decimal, is_number, signed

_GOAL = re.compile(r"^\s*(<=|>=|<|>|=|≤|≥)\s*(-?[0-9]*\.?[0-9]+)\s*$")
_SIGNS = {"<=": "≤", ">=": "≥"}


@dataclass(frozen=True)
class Goal:
    """What was asked of a figure: ``at`` in percent of the axis, or ``None`` off it."""

    text: str
    at: float | None
    holds: bool | None
    crossed: bool


@dataclass(frozen=True)
class Bar:
    """One figure: dot and interval in percent of the axis, and the same in words."""

    label: str
    role: str
    estimate: str
    interval: str
    dot: float | None
    start: float | None
    length: float | None
    zero: float | None
    low_end: str
    high_end: str
    goal: Goal | None


def figure_bars(figures: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """The figures of a steering: shares have one axis in common, anything larger its own."""
    shared = _axis([figure for figure in figures if _is_share(figure)], floor=0.0, ceiling=1.0)
    return [
        _bar(figure, shared if _is_share(figure) else _axis([figure], 0.0, 1.0))
        for figure in figures
    ]


def difference_bars(differences: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Differences on one axis that contains zero; estimates carry their sign."""
    axis = _axis(differences, floor=0.0, ceiling=0.05)
    return [_bar(one, axis, show=signed) for one in differences]


def measure_bars(measures: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Amounts of one kind on one axis that starts at zero, or below it where one of them does."""
    axis = _axis(measures, floor=0.0, ceiling=0.05)
    return [_bar(one, axis) for one in measures]


def _numbers(figure: Mapping[str, Any]) -> list[float]:
    return [float(figure[key]) for key in ("estimate", "low", "high") if is_number(figure.get(key))]


def _is_share(figure: Mapping[str, Any]) -> bool:
    return all(-1 <= value <= 1 for value in _numbers(figure))


def _axis(
    figures: Sequence[Mapping[str, Any]], floor: float, ceiling: float
) -> tuple[float, float]:
    """Round ends that hold every number and goal."""
    values = [value for figure in figures for value in _numbers(figure)]
    values += [goal[1] for figure in figures if (goal := _parse(figure.get("goal"))) is not None]
    low, high = min([*values, floor]), max([*values, ceiling])
    # Round ends, about ten steps apart, so that the axis can be read.
    step = 10.0 ** round(math.log10(high - low)) / 10
    return math.floor(low / step + 1e-6) * step, math.ceil(high / step - 1e-6) * step


def _parse(goal: object) -> tuple[str, float] | None:
    """The sign and the bound of ``>= 0.80``; ``None`` where a goal is written otherwise."""
    found = _GOAL.match(goal) if isinstance(goal, str) else None
    return (found.group(1), float(found.group(2))) if found else None


def _bar(figure: Mapping[str, Any], axis: tuple[float, float], show: Any = decimal) -> Bar:
    low, high = axis

    def place(value: Any) -> float | None:
        if not is_number(value):
            return None
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)

    start, end = place(figure.get("low")), place(figure.get("high"))
    if start is not None and end is not None and end < start:
        raise DataError(f"the interval of {figure.get('label')!r} ends before it starts")
    return Bar(
        label=str(figure["label"]),
        role=str(figure.get("role") or "effect"),
        estimate=show(figure["estimate"]),
        interval=bounds(figure),
        dot=place(figure["estimate"]),
        start=start if end is not None else None,
        length=round(end - start, 2) if start is not None and end is not None else None,
        zero=place(0.0) if low < 0 else None,
        low_end=decimal(low),
        high_end=decimal(high),
        goal=_goal(figure, place),
    )


def _goal(figure: Mapping[str, Any], place: Any) -> Goal | None:
    text = figure.get("goal")
    if not text:
        return None
    parsed = _parse(text)
    low, high = figure.get("low"), figure.get("high")
    crossed = parsed is not None and is_number(low) and is_number(high) and low < parsed[1] < high
    return Goal(
        text=f"{_SIGNS.get(parsed[0], parsed[0])} {decimal(parsed[1])}" if parsed else str(text),
        at=place(parsed[1]) if parsed else None,
        holds=figure.get("holds"),
        crossed=crossed,
    )
