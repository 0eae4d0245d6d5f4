"""All figures of ``python -m benchmarks.export``."""

from benchmarks.export import times
from benchmarks.figures import Figure


def measure() -> list[Figure]:
    """Every figure."""
    return times.measure()
