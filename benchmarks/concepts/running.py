"""All figures of the benchmark, in order."""

import logging
import os
import time

from benchmarks.concepts import factoring, scale, speed, words, world
from benchmarks.figures import Figure

_log = logging.getLogger(__name__)


def measure() -> list[Figure]:
    """Speed, factoring, scale, words, then the world."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    short = bool(os.environ.get("SHIFTLENS_BENCH_SHORT"))
    start = time.monotonic()
    figures: list[Figure] = []
    parts = {
        "words": lambda: words.measure(2000, 64, 5, 2) if short else words.measure(),
        "speed": lambda: speed.measure(2000, 64, 10, 3) if short else speed.measure(),
        "factoring": lambda: factoring.measure(200, 64, 5, 1) if short else factoring.measure(),
        "scale": lambda: scale.measure(8192, 256) if short else scale.measure(),
        "world": world.measure,
    }
    for name, part in parts.items():
        figures += part()
        _log.info("%s after %.0f s", name, time.monotonic() - start)
    return figures
