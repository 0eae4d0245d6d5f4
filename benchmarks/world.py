"""How well the embedded world's models see and speak, on held-out scenes through ``generate``."""

import tempfile
from pathlib import Path

from benchmarks.figures import Figure, from_interval, main
from shiftlens.core.intervals import Interval
from shiftlens.world import models
from shiftlens.world.accuracy import Accuracy, measure_world


def measure() -> list[Figure]:
    """Every accuracy of the world that was asked for."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure_world(models.path("base").parent, Path(folder))
    return [_figure(one) for one in found]


def _figure(one: Accuracy) -> Figure:
    if isinstance(one.value, Interval):
        return from_interval(one.name, one.value, one.unit, one.goal, one.how)
    return Figure(one.name, one.value, None, None, one.unit, one.goal, one.how)


if __name__ == "__main__":
    main(measure, __doc__ or "")
