"""All figures of the benchmark, in order."""

import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.capture.times import interleaved, ratio
from benchmarks.figures import Figure, from_interval
from benchmarks.ray.crews import Bench, nothing, warm
from shiftlens.core.intervals import percentile
from shiftlens.distributed.crew import Crew
from shiftlens.distributed.packing import without_recorders
from shiftlens.distributed.session import connected

_log = logging.getLogger(__name__)
_HANDED = 400  # empty parts that the driver hands out


def measure() -> list[Figure]:
    """Time of the parts alone: workers are warm, and each has done every part once before."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("ray").setLevel(logging.ERROR)
    # SHIFTLENS_BENCH_SHORT: a look at whether it runs, on a machine that others use.
    short = bool(os.environ.get("SHIFTLENS_BENCH_SHORT"))
    n, size, rounds = (48, 8, 3) if short else (1024, 16, 7)
    with (
        tempfile.TemporaryDirectory() as folder,
        connected("local", cpus=5, gpus=0, weights=2**28),
    ):
        bench = Bench.open(Path(folder), n, size)
        with without_recorders([bench.job.models[0].hf]):
            return _figures(bench, n, rounds)


def _figures(bench: Bench, n: int, rounds: int) -> list[Figure]:
    with warm(bench.function, 1) as (one, start_one), warm(bench.function, 2) as (two, start_two):
        runs: dict[str, Callable[[], object]] = {
            "one": lambda: _run(one, bench),
            "two": lambda: _run(two, bench),
            "serial": lambda: bench.serially(1),
            "threads": lambda: bench.serially(2),
        }
        _agree(bench, runs)
        taken = interleaved(runs, rounds, time.perf_counter)
    what = (
        f"wall-clock seconds of {len(bench.parts)} parts, {n} captions of the world; warm workers"
    )
    size, rows = bench.size(), n
    figures = [
        ratio("one worker / two workers", taken["one"], taken["two"], ">= 1.7",
              f"{what}; one thread each"),
        ratio("serial, two threads / two workers", taken["threads"], taken["two"], "",
              f"{what}; both have two threads in all"),
        ratio("serial, one thread / one worker", taken["serial"], taken["one"], "",
              f"{what}; what the way through Ray costs"),
        *(_rate(name, taken[key], n, "/s", f"samples a second; {what}") for name, key in (
            ("samples/s, one worker", "one"), ("samples/s, two workers", "two"),
            ("samples/s, serial, one thread", "serial"),
            ("samples/s, serial, two threads", "threads"))),
        _rate("rows/s, two workers", taken["two"], rows, "/s", f"states of one layer; {what}"),
        _rate("kB/s written, two workers", taken["two"], size / 1e3, "kB/s",
              f"shards and rows of {size / n:.0f} bytes a sample; {what}"),
        Figure("start of one worker", start_one, None, None, "s", "",
               "seconds until it has imported everything and unpacked the model"),
        Figure("start of two workers", start_two, None, None, "s", "", "the same, side by side"),
    ]  # fmt: skip
    return [*figures, *_driver(rounds)]


def _run(crew: Crew, bench: Bench) -> None:
    done = [part for part, _, _ in crew.run(bench.parts)]
    if len(done) != len(bench.parts):
        raise RuntimeError(f"{len(done)} of {len(bench.parts)} parts came back")


def _agree(bench: Bench, runs: dict[str, Callable[[], object]]) -> None:
    """Everything once, so that nothing is built while it is timed; files must be the same."""
    found: dict[str, str] = {}
    for name, run in runs.items():
        run()
        found[name] = bench.digest()
        _log.info("%s: once", name)
    if len({found[name] for name in ("one", "two", "serial")}) != 1:
        raise RuntimeError("workers and one process of as many threads write different bytes")


def _rate(name: str, seconds: np.ndarray, amount: float, unit: str, how: str) -> Figure:
    """Median of what is done in a second, with its bootstrap interval."""
    rates = amount / seconds
    draws = np.random.default_rng(0).choice(rates, (2000, len(rates)))
    interval = percentile(np.median(draws, axis=1), float(np.median(rates)))
    return from_interval(name, interval, unit, "", f"{how}; median of {len(rates)} rounds")


def _driver(rounds: int) -> list[Figure]:
    """How many parts a second one driver hands out: what a cluster can ask of it at most."""
    with warm(nothing, 2) as (crew, _):
        taken: list[float] = []
        for _ in range(rounds):
            start = time.perf_counter()
            if sum(1 for _ in crew.run(range(_HANDED))) != _HANDED:
                raise RuntimeError("parts are missing")
            taken.append(time.perf_counter() - start)
    how = f"{_HANDED} empty parts to two workers, one at a time each"
    return [_rate("parts/s handed out by the driver", np.asarray(taken), _HANDED, "/s", how)]
