"""The Pareto front: settings that no other beats in effect and in cost at once."""

from collections.abc import Sequence

from shiftlens.steering.searching.measured import Measured


def front(cells: Sequence[Measured], against: str) -> tuple[Measured, ...]:
    """The cells that no other beats, from the cheapest to the dearest.

    One beats another if it is at least as good in both estimates and better in one. Cells that were
    dropped, or have no effect or cost, take no part: they were asked fewer samples.

    Args:
        cells: what was measured.
        against: name of a cost (the worst of several that begin with it), or ``dose``.
    """
    able = [
        (one.merit.estimate, cost.estimate, one)
        for one in cells
        if not one.dropped and one.merit is not None and (cost := one.worst(against)) is not None
    ]
    kept: list[Measured] = []
    best = float("-inf")
    for merit, _, one in sorted(able, key=lambda entry: (entry[1], -entry[0], entry[2].dose)):
        if merit > best:
            kept.append(one)
            best = merit
    return tuple(kept)
