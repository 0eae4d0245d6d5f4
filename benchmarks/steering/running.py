"""All figures of the benchmark, in order."""

import logging
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.steering import answers, directions, gender, safety, style, times, undoing
from benchmarks.steering.data import Bench

ROOT = Path("runs/bench-steering")

_log = logging.getLogger(__name__)


def measure() -> list[Figure]:
    """Fit, steer, judge, time."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    start = time.monotonic()
    bench = Bench.open(ROOT)
    figures: list[Figure] = []
    for part in (answers, directions, style, gender, safety, undoing, times):
        figures += part.measure(bench)
        _log.info("%s after %.0f s", part.__name__, time.monotonic() - start)
    return figures
