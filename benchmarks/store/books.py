"""What bookkeeping costs: a journal of many parts, and a finished harvest that is asked again."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.concepts.contests import over_all, usual
from benchmarks.figures import Figure, from_interval
from benchmarks.store.data import manifest_of
from shiftlens.activations.journal import Journal
from shiftlens.activations.manifest import read_manifest
from shiftlens.core.intervals import percentile

_TIMED = 1000  # parts at either end
_RUNS = 5


def measure(folder: Path, parts: int) -> list[Figure]:
    """The journal, then recognition."""
    return [*_journal(folder, parts), *_recognised(folder)]


def _entry(number: int) -> dict[str, Any]:
    """A part as the manifest holds it."""
    files = {"shard": f"shard-{number:05d}.safetensors", "rows": f"rows-{number:05d}.parquet"}
    counts = {"matched": 256, "missed": 0, "failed": 0}
    sums = dict.fromkeys(files, f"{number:064x}")
    return {**files, "n": 256, "counts": counts, "quarantine": [], "sha256": sums}


def _journal(folder: Path, parts: int) -> list[Figure]:
    root = folder / "journal"
    root.mkdir()
    manifest = manifest_of(root, parts)
    manifest.write()
    journal = Journal(root / "journal.jsonl", manifest.run)
    timed = min(_TIMED, parts // 4)
    first = _added(journal, range(timed))
    with _unsynced():  # what lies between is simulated: the same lines, without a wait for each
        _added(journal, range(timed, parts - timed))
    last = _added(journal, range(parts - timed, parts))
    start = time.perf_counter()
    whole = read_manifest(root)
    reading, start = time.perf_counter() - start, time.perf_counter()
    whole.write()
    writing = time.perf_counter() - start
    what = f"Journal.add of {parts:,} parts, lines synced, the {parts - 2 * timed:,} between not"
    random = np.random.default_rng(0)
    draws = [np.median(random.choice(last, timed)) / np.median(random.choice(first, timed))
             for _ in range(2000)]  # fmt: skip
    ratio = percentile(np.asarray(draws), float(np.median(last) / np.median(first)))
    return [
        from_interval(f"last {timed} parts / first {timed}", ratio, "ratio", "<= 1.25",
                      f"medians of {what}"),
        usual("a part in the journal, at first", first * 1e3, "ms", "", what),
        usual("a part in the journal, in the end", last * 1e3, "ms", "", what),
        Figure(f"a journal of {parts:,} parts read", reading, None, None, "s", "", "read_manifest"),
        Figure(f"a manifest of {parts:,} parts written", writing, None, None, "s", "",
               "once at the end, where it was once a part before there was a journal"),
    ]  # fmt: skip


def _added(journal: Journal, numbers: range) -> np.ndarray:
    taken: list[float] = []
    for number in numbers:
        start = time.perf_counter()
        journal.add(number, _entry(number))
        taken.append(time.perf_counter() - start)
    return np.asarray(taken)


@contextmanager
def _unsynced() -> Generator[None]:
    real = os.fsync
    os.fsync = lambda _: None  # pyright: ignore
    try:
        yield
    finally:
        os.fsync = real


def _recognised(folder: Path) -> list[Figure]:
    """The whole command, interpreter and all, on a harvest that is finished."""
    words = ["harvest", "world:base", "world:people", "--words", "person,man,woman", "-n", "200",
             "-o", str(folder / "run"), "--quiet"]  # fmt: skip
    code = (
        "import sys\nfrom shiftlens.cli.main import run_app\n"
        f"code = run_app({words!r})\nprint('torch' in sys.modules)\nsys.exit(code)"
    )
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, capture_output=True)
    taken, cpu, heavy = list[float](), list[float](), list[bool]()
    for _ in range(_RUNS):
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        heavy.append(done.stdout.strip() != "False")
    how = "shiftlens harvest of 200 samples of the world, asked again: the whole process"
    return [
        over_all("a finished harvest recognised", taken, "s", "<= 1", how),
        over_all("... CPU time, which neighbours do not change", cpu, "s", "<= 1", how),
        Figure("... torch imported", float(any(heavy)), None, None, "", "<= 0", how),
    ]
