"""All figures of ``python -m benchmarks.export``."""

from benchmarks.export import baking, folding, times
from benchmarks.figures import Figure


def measure() -> list[Figure]:
    """Every figure."""
    return [*times.measure(), *folding.measure(), *baking.measure()]
