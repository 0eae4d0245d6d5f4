"""All figures of the benchmark, in order."""

import logging
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.shift import false_alarms, power, real, times
from benchmarks.shift.adapters import trained
from benchmarks.shift.states import pools

ROOT = Path("runs/bench-shift")

_log = logging.getLogger(__name__)


def measure() -> list[Figure]:
    """Train what is missing, harvest, judge."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    ROOT.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    adapters = trained(ROOT)
    _log.info("adapters ready after %.0f s", time.monotonic() - start)
    found = pools(ROOT, adapters)
    _log.info("states ready after %.0f s", time.monotonic() - start)
    figures = false_alarms.measure(found["people"])
    _log.info("false alarms after %.0f s", time.monotonic() - start)
    figures += power.measure(found["people"], found["children"])
    _log.info("power after %.0f s", time.monotonic() - start)
    figures += real.measure(found)
    _log.info("real adapters after %.0f s", time.monotonic() - start)
    return figures + times.measure(ROOT)
