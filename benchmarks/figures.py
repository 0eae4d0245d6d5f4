"""One figure of a benchmark: its value, its interval, its goal, and whether the goal holds."""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from shiftlens.core.intervals import Interval, wilson

_GOAL = re.compile(r"^(<=|>=|<|>|=) *(-?[0-9.]+)$")


@dataclass(frozen=True)
class Figure:
    """A number with everything that is needed to trust it.

    Attributes:
        name: what it is.
        value: the estimate.
        low: lower end of the 95 % interval, where there is one.
        high: upper end.
        unit: of the value; "share" for numbers in 0..1.
        goal: as it was asked for, for example ``>= .95``; empty where nothing was.
        how: one sentence on what was counted or timed against what.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    goal: str
    how: str

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met by the whole interval; ``None`` without a goal."""
        match = _GOAL.match(self.goal)
        if match is None:
            return None
        sign, bound = match.group(1), float(match.group(2))
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        # Shares are ratios of small counts: a rounding error must not decide.
        slack = 1e-9
        return {
            ">=": low >= bound - slack,
            ">": low > bound,
            "<=": high <= bound + slack,
            "<": high < bound,
            "=": abs(low - bound) <= slack and abs(high - bound) <= slack,
        }[sign]

    def to_dict(self) -> dict[str, object]:
        """The figure as the benchmarks print it."""
        return {**asdict(self), "holds": self.holds}


def share(name: str, hits: Sequence[bool], goal: str, how: str) -> Figure:
    """A share with its Wilson interval."""
    if not hits:
        return Figure(name, float("nan"), None, None, "share", goal, f"{how} (no case)")
    interval = wilson(sum(map(bool, hits)), len(hits))
    return from_interval(name, interval, "share", goal, f"{how}; n = {len(hits)}")


def from_interval(name: str, interval: Interval, unit: str, goal: str, how: str) -> Figure:
    """A figure whose interval is known."""
    return Figure(name, interval.estimate, interval.low, interval.high, unit, goal, how)


def main(measure: Callable[[], list[Figure]], description: str) -> None:
    """Command line of a benchmark: ``--json`` for machines, a table for people."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    figures = measure()
    if arguments.json:
        print(json.dumps({"figures": [figure.to_dict() for figure in figures]}, indent=1))
    else:
        print_table(figures)


def print_table(figures: Sequence[Figure]) -> None:
    """The figures in columns, goals that do not hold marked."""
    marks = {True: "holds", False: "FAILS", None: ""}
    for figure in figures:
        around = "" if figure.low is None else f"[{figure.low:.3f}, {figure.high:.3f}]"
        print(
            f"{figure.name:<44} {figure.value:>8.3f} {around:<18} {figure.unit:<7}"
            f"{figure.goal:<10}{marks[figure.holds]}"
        )
