"""What ``trajectory`` says in the end: one line of blocks for each concept, in eighty columns."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shiftlens.cli.terminal import console, table
from shiftlens.reporting.numbers import bounds, decimal, percent
from shiftlens.shift.curves import ConceptCurve, Trajectory

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNKNOWN = "·"
_WIDEST = 12  # blocks in a line
_WORDS = 22  # letters of a concept's words


def spark(values: Sequence[float], top: float) -> str:
    """Numbers as blocks: the lowest is 0 or less, the highest ``top`` or more; a dot is unknown.

    Of more than twelve numbers, twelve evenly spread ones are drawn, first and last among them.
    """
    if len(values) > _WIDEST:
        step = (len(values) - 1) / (_WIDEST - 1)
        values = [values[round(place * step)] for place in range(_WIDEST)]
    return "".join(_block(value, top) for value in values)


def _block(value: float, top: float) -> str:
    if not math.isfinite(value):
        return _UNKNOWN
    share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
    return _BLOCKS[round(share * (len(_BLOCKS) - 1))]


def print_trajectory(found: Trajectory, out: Path, drawn: Path | None = None) -> None:
    """Print a trajectory.

    Args:
        found: what was found.
        out: where it is.
        drawn: its page, where there is one.
    """
    page, xs = console(), found.xs
    held = found.about["pictures"]
    page.print(f"{found.axis}s {_short(xs)}", markup=False)
    page.print(
        f"block {found.about['site']['layer']}, {len(found.concepts)} concepts from "
        f"{held['estimation']} pictures, judged on {held['judging']} others",
        markup=False,
    )
    top = _top(found)
    page.print(f"all states     {spark([one.estimate for one in found.everything], top)}  "
               f"{_interval(found.everything[-1])} at {xs[-1]:g}", markup=False)  # fmt: skip
    if found.answers is not None:
        shares = [one.estimate for one in found.answers]
        page.print(
            f"other answers  {spark(shares, 1.0)}  {percent(shares[-1])} at {xs[-1]:g}",
            markup=False,
        )
    page.print()
    columns = ("concept", "pictures", "drift", f"at {xs[-1]:g}", "changed from")
    page.print(table("", columns, [_line(one, found, top) for one in found.concepts]))
    page.print()
    page.print(
        f"drift is in spreads within concepts; the highest block is {decimal(top)}\n"
        f"{_margin(found)}",
        markup=False,
    )
    if drawn is not None:
        page.print(f"  page     {drawn}", markup=False, soft_wrap=True)
    page.print(f"  curves   {out / 'trajectory.json'}", markup=False, soft_wrap=True)
    page.print(f"  scalars  {out / 'scalars.jsonl'}", markup=False, soft_wrap=True)


def _line(one: ConceptCurve, found: Trajectory, top: float) -> tuple[str, ...]:
    from rich.markup import escape

    curve = one.curves["moved"]
    words = ", ".join(one.words[:3]) or f"concept {one.index}"
    short = words if len(words) <= _WORDS else f"{words[: _WORDS - 1]}…"
    return (
        escape(short),
        str(one.pictures),
        spark([point.estimate for point in curve.points], top),
        _interval(curve.points[-1]),
        _from(curve.first_changed, curve.points[-1].verdict, found),
    )


def _from(first: float | None, last: str, found: Trajectory) -> str:
    """From where on a concept has changed; where it has not, its last verdict."""
    if first is not None:
        return f"{found.axis} {first:g}"
    return "no margin" if found.margins["source"] == "none" else last


def _top(found: Trajectory) -> float:
    """The largest estimate, of all concepts and of all states."""
    values = [point.estimate for one in found.concepts for point in one.curves["moved"].points]
    values += [one.estimate for one in found.everything]
    return max((value for value in values if math.isfinite(value)), default=0.0)


def _interval(one: Any) -> str:
    ends = {"low": one.low, "high": one.high}
    return f"{decimal(one.estimate)} {bounds(ends)}".strip()


def _margin(found: Trajectory) -> str:
    null = found.margins
    if null["source"] == "none":
        return "nothing is judged: name a margin (--margin), or give placebos (--placebo)"
    n = len(null["placebos"])
    whose = f"of {n} placebos" if null["source"] == "placebos" else "that you named"
    return (
        "changed from there to the end: the whole interval lies above the margin\n"
        f"of {decimal(null['moved'])} {whose}"
    )


def _short(xs: Sequence[float]) -> str:
    """Steps, the middle ones of many left out."""
    shown = [f"{x:g}" for x in xs]
    return ", ".join(shown if len(shown) <= _WIDEST else [*shown[:4], "...", *shown[-2:]])
