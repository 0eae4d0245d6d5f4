"""Writing a store beside writing the same numbers into one raw memory map."""

import shutil
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.concepts.contests import over_all, timing
from benchmarks.figures import Figure
from benchmarks.store.data import LARGE_PART, PART, chunks, drawn, tables, write_store
from shiftlens.core.manifest import sha256_file

ROUNDS = 12
_GOAL = "<= 1.5"


def measure(folder: Path, n: int, d: int) -> list[Figure]:
    """Ratios of wall times; what is written stands in memory before."""
    states = drawn(LARGE_PART, d)
    few, many = tables(n, LARGE_PART), tables(n, PART)
    taken: dict[str, list[float]] = {"raw": [], "small": [], "large": []}
    for number in range(ROUNDS):
        runs = {
            "raw": lambda: write_raw(folder / "raw.bin", states, n),
            "small": lambda: write_store(folder / "small", states, n, PART, many),
            "large": lambda: write_store(folder / "large", states, n, LARGE_PART, few),
        }
        names = list(runs)
        for name in names if number % 2 else reversed(names):
            taken[name].append(timing(runs[name]).wall)
            _clear(folder)
    raw, small, large = (np.asarray(taken[name]) for name in ("raw", "small", "large"))
    what = f"{n:,} x {d:,} float16, {2 * n * d / 1e9:.1f} GB, wall time"
    theirs = "a memory map filled in pieces of 64 MB, flushed, and hashed from the file"
    return [
        over_all("write / raw map, shards of 256 rows", (small / raw).tolist(), "ratio", _GOAL,
                 f"{what}; files synced, renamed, hashed, tables, journal, manifest; {theirs}"),
        over_all("write / raw map, shards of 8,192 rows", (large / raw).tolist(), "ratio", _GOAL,
                 f"{what}; as above with 32 times fewer files"),
        over_all("write, shards of 256 rows", (2 * n * d / small / 1e6).tolist(), "MB/s", "", what),
        over_all("raw map", (2 * n * d / raw / 1e6).tolist(), "MB/s", "", f"{what}; {theirs}"),
    ]  # fmt: skip


def write_raw(path: Path, states: Tensor, n: int) -> str:
    """What a user would do who needs nothing but the numbers."""
    source = states.numpy()
    whole = np.memmap(path, np.float16, "w+", shape=(n, source.shape[1]))
    for _, start, length in chunks(n, len(source)):
        whole[start : start + length] = source[:length]
    whole.flush()
    del whole
    return sha256_file(path)


def _clear(folder: Path) -> None:
    """Remove what was written, so that no round finds more on the disk than another."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
