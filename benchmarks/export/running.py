"""All figures of ``python -m benchmarks.export``."""

from benchmarks.export import baking, times
from benchmarks.figures import Figure


def measure() -> list[Figure]:
    """Every figure."""
    return [*times.measure(), *baking.measure()]
