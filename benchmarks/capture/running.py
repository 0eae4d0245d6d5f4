"""All figures of the benchmark, in order."""

import logging
import os
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.capture import gpu, memory, times
from benchmarks.capture.data import Bench
from benchmarks.figures import Figure

_log = logging.getLogger(__name__)


def measure() -> list[Figure]:
    """Time on the world's model, memory in processes of their own, then the GPU."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    short = bool(os.environ.get("SHIFTLENS_BENCH_SHORT"))
    start = time.monotonic()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    figures: list[Figure] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            # A part of a store is 256 samples: fewer would charge each with more of its files.
            bench = Bench.open(Path(folder), 32 if short else 256)
            figures += times.measure(bench, 4 if short else 24)
            _log.info("times after %.0f s", time.monotonic() - start)
            figures += memory.measure(Path(folder), short=short)
            _log.info("memory after %.0f s", time.monotonic() - start)
    finally:
        torch.set_num_threads(before)
    figures += gpu.measure()
    return figures
