"""Consistency of the shift vectors against their length: one point a concept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.curves import Tick, axis_range, axis_ticks
from shiftlens.reporting.frames import Frame
from shiftlens.reporting.numbers import decimal, is_number

WIDTH, HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 22, 16, 46
_FRAME = Frame.within(WIDTH, HEIGHT, (_LEFT, _RIGHT, _TOP, _BOTTOM))
_NEAR = (16.0, 12.0)  # pixels between two labels that would cover each other
_PLACES = ((8, 4), (-8, 4), (0, -9), (0, 17), (10, -7), (-10, -7), (10, 14), (-10, 14))


@dataclass(frozen=True)
class Dot:
    """One concept: its place, the place of its label, and its verdict, which shapes its mark."""

    index: int
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str
    verdict: str
    said: str


@dataclass(frozen=True)
class Scatter:
    """The picture, ready to be drawn."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    description: str
    frame: Frame = _FRAME


def scatter(changes: Sequence[Mapping[str, Any]], verdicts: Mapping[int, str]) -> Scatter | None:
    """Lay out one point a concept whose length and consistency are both known.

    Args:
        changes: entries of the document's concepts.
        verdicts: for a concept's index what was judged of its move; absent where nothing was.
    """
    known = [c for c in changes if is_number(c["magnitude"]) and is_number(c["consistency"])]
    if not known:
        return None
    across, down = [c["magnitude"] for c in known], [c["consistency"] for c in known]
    x_low, x_high, x_step = axis_range(min(across), max(across))
    y_low, y_high, y_step = axis_range(min(down), max(down))

    def x(value: float) -> float:
        return round(_LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        share = (value - y_low) / (y_high - y_low)
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM), 1)

    points = [(c, x(c["magnitude"]), y(c["consistency"])) for c in known]
    return Scatter(
        dots=_labelled(points, verdicts),
        x_ticks=tuple(Tick(x(v), f"{v:g}") for v in axis_ticks(x_low, x_high, x_step)),
        y_ticks=tuple(Tick(y(v), decimal(v)) for v in axis_ticks(y_low, y_high, y_step)),
        zero=y(0.0) if y_low < 0 < y_high else None,
        description="Consistency against magnitude. " + "; ".join(map(_said, known)) + ".",
    )


def _said(change: Mapping[str, Any]) -> str:
    return (
        f"concept {change['index']}: magnitude {decimal(change['magnitude'], 1)}, "
        f"consistency {decimal(change['consistency'])}"
    )


def _labelled(
    points: Sequence[tuple[Mapping[str, Any], float, float]], verdicts: Mapping[int, str]
) -> tuple[Dot, ...]:
    """Labels beside their points, where no other point or label is in the way."""
    taken = [(x, y) for _, x, y in points]
    dots: list[Dot] = []
    for change, x, y in points:
        free = [place for place in _PLACES if _is_free(x + place[0], y + place[1] - 4, taken)]
        dx, dy = (free or _PLACES)[0]
        taken.append((x + dx, y + dy - 4))
        anchor = "middle" if dx == 0 else "start" if dx > 0 else "end"
        index, said = change["index"], _said(change)
        dots.append(Dot(index, x, y, x + dx, y + dy, anchor, verdicts.get(index, ""), said))
    return tuple(dots)


def _is_free(x: float, y: float, taken: Sequence[tuple[float, float]]) -> bool:
    near, high = _NEAR
    # The label's own point is nearer than that, and does not count.
    hits = [1 for a, b in taken if abs(a - x) < near and abs(b - y) < high]
    return len(hits) <= 1
