"""Successive halving: worse cells are asked fewer samples, and no cell that may be best is dropped.

After each rung a cell is dropped if
- the whole interval of one of its costs lies beyond a budget; or
- it is in the worse half by effect, and the whole interval of its effect lies below that of the
  best cell whose estimates keep all budgets.
Where no cell keeps the budgets yet, none is dropped for its effect. A cell that overlaps with that
best one goes on, however many there are: a rung that cannot tell cells apart halves nothing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from shiftlens.core.intervals import Interval
from shiftlens.steering.searching.budgets import Budget, keeps, surely_broken
from shiftlens.steering.searching.measured import Measured

Key = TypeVar("Key")

SHARES = (0.25, 0.5, 1.0)
_FEWEST = 16  # samples of a rung; an interval of fewer tells nothing apart


def rungs(n: int, *, halving: bool) -> tuple[int, ...]:
    """How many samples have been asked after each rung, growing, the last one ``n``.

    Args:
        n: samples a cell.
        halving: whether there is more than one rung.
    """
    if not halving:
        return (n,)
    sizes = {math.ceil(n * share) for share in SHARES}
    return tuple(sorted(size for size in sizes if size >= min(_FEWEST, n) or size == n))


def dropped(cells: Mapping[Key, Measured], budgets: Sequence[Budget]) -> dict[Key, str]:
    """Cells that are not worth more samples, with the reason.

    Args:
        cells: what was measured of each so far, on the same samples.
        budgets: that the chosen cell has to keep.
    """
    gone: dict[Key, str] = {}
    for key, one in cells.items():
        broken = surely_broken(budgets, one.costs)
        if broken:
            gone[key] = f"breaks {broken}"
    rest = {
        key: one.merit for key, one in cells.items() if key not in gone and one.merit is not None
    }
    keeping = [effect for key, effect in rest.items() if keeps(budgets, cells[key].costs)]
    if not keeping:
        return gone
    best = max(keeping, key=lambda effect: (effect.estimate, effect.low))
    order = sorted(rest, key=lambda key: -rest[key].estimate)
    for key in order[math.ceil(len(order) / 2) :]:
        if _below(rest[key], best):
            gone[key] = "surely less effect than another"
    return gone


def _below(one: Interval, other: Interval) -> bool:
    return one.high < other.low
