"""Line charts as geometry: where every point, tick and label goes; the template draws them."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftlens.reporting.frames import Frame
from shiftlens.reporting.numbers import decimal, is_number

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 104, 14, 46
_FRAME = Frame.within(WIDTH, HEIGHT, (_LEFT, _RIGHT, _TOP, _BOTTOM))
_LABEL_GAP = 16.0  # pixels between two labels at the right edge, so that none covers another
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.25, 0.5, *(m * 10.0**e for e in range(5) for m in (1, 2, 5)))

# The first is the claim, the next two the controls that it is always shown with; the rest follow.
ORDER = ("concept", "global", "shuffled", "affine", "permuted", "random", "samples")
NAMES = {
    "concept": "concept",
    "global": "global",
    "shuffled": "shuffled",
    "affine": "affine map",
    "permuted": "permuted",
    "random": "random",
    "samples": "samples",
    "partition": "random groups",
    "moved": "all together",
    "own": "each apart",
}
_STYLES = {"moved": "global", "own": "concept"}  # the drift by layer borrows two of them


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its place in pixels and what stands beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """One value of a curve: its place in pixels, and the words shown on hover."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Line:
    """One curve; ``style`` is one of ``ORDER`` or ``other`` and decides dashes and markers.

    ``band`` is the outline of its intervals, empty where it has none.
    """

    name: str
    style: str
    points: tuple[Point, ...]
    path: str
    label_y: float
    end_y: float
    band: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart ready to be drawn, and in words for those who do not see it.

    ``level`` is a line across it, such as a margin, with what stands at it; ``since`` is the place
    on the horizontal axis from which something is so, with what.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    description: str
    level: Tick | None = None
    since: Tick | None = None
    frame: Frame = _FRAME


def chart(
    title: str,
    y_label: str,
    strengths: Sequence[float],
    curves: Mapping[str, Sequence[Any]],
    *,
    x_label: str = "strength of the shift",
    at: str = "strength",
    bands: Mapping[str, Sequence[tuple[Any, Any]]] | None = None,
    level: tuple[Any, str] | None = None,
    since: tuple[Any, str] | None = None,
) -> Chart | None:
    """Lay out curves over strength, or over anything else that is counted.

    Args:
        title: of the chart.
        y_label: what the vertical axis counts.
        strengths: positions on the horizontal axis.
        curves: for each name one value a strength; unknown values are left out.
        x_label: what the horizontal axis counts.
        at: one of its positions in a word, for those who read the chart.
        bands: for a curve's name the ends of its interval at each strength.
        level: a value to be held against the curves, and what it is called.
        since: a position on the horizontal axis to be marked, and what holds from there on.

    Returns:
        the chart, or ``None`` when there is nothing to draw.
    """
    edges = [v for band in (bands or {}).values() for pair in band for v in pair if is_number(v)]
    values = [v for curve in curves.values() for v in curve if is_number(v)]
    if not values or not strengths:
        return None
    if level is not None and is_number(level[0]):
        edges.append(level[0])
    low, high, step = axis_range(min([*values, *edges]), max([*values, *edges]))
    first, last = min(strengths), max(strengths)

    def x(strength: float) -> float:
        share = (strength - first) / (last - first) if last > first else 0.5
        return round(_LEFT + share * (WIDTH - _RIGHT - _LEFT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * _plot_height(), 1)

    lines: list[Line] = []
    for name in sorted(curves, key=rank):
        pairs = zip(strengths, curves[name], strict=True)
        known = [(strength, value) for strength, value in pairs if is_number(value)]
        if known:
            label = NAMES.get(name, name)
            points = tuple(
                Point(x(s), y(v), f"{label} at {at} {s:g}: {decimal(v)}") for s, v in known
            )
            path = "M" + "L".join(f"{point.x} {point.y}" for point in points)
            style = name if name in ORDER else _STYLES.get(name, "other")
            band = _band(strengths, (bands or {}).get(name, ()), x, y)
            lines.append(Line(label, style, points, path, points[-1].y, points[-1].y, band))
    return Chart(
        title=title,
        x_label=x_label,
        y_label=y_label,
        x_ticks=readable(tuple(Tick(x(s), f"{s:g}") for s in strengths)),
        y_ticks=tuple(Tick(y(v), decimal(v, _digits(step))) for v in axis_ticks(low, high, step)),
        lines=_apart(lines),
        description=_description(title, strengths, curves, at),
        level=Tick(y(level[0]), level[1]) if level and is_number(level[0]) else None,
        since=Tick(x(since[0]), since[1]) if since and is_number(since[0]) else None,
    )


def readable(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    """Ticks without the texts that would lie on the one before; the last one keeps its own."""
    kept: list[Tick] = []
    free = -math.inf
    end = ticks[-1].at - _half(ticks[-1]) if ticks else 0.0
    for place, tick in enumerate(ticks):
        last = place == len(ticks) - 1
        fits = tick.at - _half(tick) >= free and tick.at + _half(tick) <= end
        kept.append(tick if last or fits else replace(tick, text=""))
        free = tick.at + _half(tick) if kept[-1].text else free
    return tuple(kept)


def _half(tick: Tick) -> float:
    """Half of what a tick's text takes, with some air."""
    return 4.0 * len(tick.text) + 3


def _band(
    strengths: Sequence[float],
    ends: Sequence[tuple[Any, Any]],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """The outline of a curve's intervals: along the lower ends, and back along the upper ones."""
    pairs = [pair for pair in zip(strengths, ends, strict=False) if all(map(is_number, pair[1]))]
    if len(pairs) < 2:
        return ""
    there = [f"{x(s)} {y(low)}" for s, (low, _) in pairs]
    back = [f"{x(s)} {y(high)}" for s, (_, high) in reversed(pairs)]
    return "M" + "L".join([*there, *back]) + "Z"


def _plot_height() -> float:
    return HEIGHT - _BOTTOM - _TOP


def rank(name: str) -> tuple[int, str]:
    """Where a curve stands among the others, as a key to sort by."""
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def axis_range(low: float, high: float) -> tuple[float, float, float]:
    """Round ends that hold all values, and a step that gives about five ticks."""
    spread = max(high - low, 0.02)
    step = next((s for s in _STEPS if spread / s <= 5), _STEPS[-1])
    start, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return start, end if end > start else start + step, step


def axis_ticks(low: float, high: float, step: float) -> list[float]:
    """Every multiple of the step from one end to the other."""
    return [low + step * i for i in range(round((high - low) / step) + 1)]


def _digits(step: float) -> int:
    return 2 if round(step * 100) % 10 else 1


def _apart(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Labels moved down, then up, until none covers another."""
    order = sorted(range(len(lines)), key=lambda i: lines[i].end_y)
    places = {i: lines[i].end_y for i in order}
    for above, below in itertools.pairwise(order):
        places[below] = max(places[below], places[above] + _LABEL_GAP)
    floor = float(HEIGHT - _BOTTOM)
    for i in reversed(order):
        places[i] = min(places[i], floor)
        floor = places[i] - _LABEL_GAP
    return tuple(replace(one, label_y=round(places[i], 1)) for i, one in enumerate(lines))


def _description(
    title: str, strengths: Sequence[float], curves: Mapping[str, Sequence[Any]], at: str
) -> str:
    said = "; ".join(
        f"{NAMES.get(name, name)} {', '.join(decimal(v) for v in curves[name])}"
        for name in sorted(curves, key=rank)
    )
    return f"{title}, at {at}s {', '.join(f'{s:g}' for s in strengths)}: {said}."
