"""Reading a store beside reading a raw memory map, both from the system's cache."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.concepts.contests import ratio, timing, usual
from benchmarks.figures import Figure
from benchmarks.store.data import LARGE_PART, PART, chunks, drawn, write_store
from benchmarks.store.writing import write_raw
from shiftlens.activations.store import ActivationStore

GATHERED = 1000
ROUNDS, GATHERS = 5, 51


def measure(folder: Path, n: int, d: int) -> list[Figure]:
    """Random rows, then all rows."""
    states = drawn(LARGE_PART, d)
    write_raw(folder / "raw.bin", states, n)
    raw = np.memmap(folder / "raw.bin", np.float16, "r", shape=(n, d))
    stores: dict[str, ActivationStore] = {}
    for name, size in (("256", PART), ("8,192", LARGE_PART)):
        write_store(folder / name, states, n, size)
        stores[name] = ActivationStore.open(folder / name)
    what = f"{n:,} x {d:,} float16, in the system's cache"
    figures = _gathered(raw, stores, what)
    return figures + _whole(folder / "raw.bin", stores["256"], what)


def _gathered(raw: np.memmap, stores: dict[str, ActivationStore], what: str) -> list[Figure]:
    """The same random rows from everywhere, other ones every round."""
    random = np.random.default_rng(0)
    taken: dict[str, list[float]] = {"raw": [], **{name: [] for name in stores}}
    _touch(raw)
    for store in stores.values():
        for _ in store.batches(LARGE_PART):  # every page was seen once, as in the raw map
            pass
    for number in range(GATHERS):
        rows = random.integers(0, len(raw), GATHERED)
        runs: dict[str, Callable[[], object]] = {
            "raw": lambda rows=rows: raw[rows],
            **{name: lambda one=one, rows=rows: one.gather(rows) for name, one in stores.items()},
        }
        names = list(runs)
        for name in names if number % 2 else reversed(names):
            taken[name].append(timing(runs[name]).wall)
    theirs = np.asarray(taken["raw"])
    figures = [
        ratio(f"gather / raw map, shards of {name} rows", np.asarray(taken[name]), theirs, "<= 5",
              f"{GATHERED} random rows of {what}; warm: every page was read before, on both sides")
        for name in stores
    ]  # fmt: skip
    shown = np.asarray(taken["256"]) * 1e3
    return [*figures, usual("gather, shards of 256 rows", shown, "ms", "", what)]


def _whole(path: Path, store: ActivationStore, what: str) -> list[Figure]:
    """The largest number of all rows: mapped shards, batches that are copies, and the raw map.

    The raw map is made anew in every round, as the views of shards are.
    """
    shape = len(store), next(store.shards())[1].shape[1]

    def by_map() -> int:
        return _touch(np.memmap(path, np.float16, "r", shape=shape))

    def by_shards() -> int:
        return max(_largest(states) for _, states in store.shards())

    def by_batches() -> int:
        return max(_largest(states) for _, states in store.batches(LARGE_PART))

    runs = {"raw": by_map, "shards": by_shards, "batches": by_batches}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    found: set[int] = {run() for run in runs.values()}
    if len(found) != 1:
        raise RuntimeError(f"not all read the same numbers: {found}")
    names = list(runs)
    for number in range(ROUNDS):
        for name in names if number % 2 else reversed(names):
            taken[name].append(timing(runs[name]).wall)
    raws, shards, batches = (np.asarray(taken[name]) for name in ("raw", "shards", "batches"))
    how = f"the largest number of {what}"
    return [
        ratio("full read / raw map, views of 256 rows", shards, raws, "<= 3",
              f"{how}; no numbers are copied"),
        ratio("full read / raw map, batches of 8,192 rows", batches, raws, "",
              f"{how}; each batch is a copy"),
    ]  # fmt: skip


def _largest(states: torch.Tensor) -> int:
    return int(states.view(torch.int16).numpy().max())


def _touch(raw: np.memmap) -> int:
    """The same, by the same means, in pieces of 256 rows."""
    pieces = chunks(len(raw), PART)
    return max(int(raw[at : at + length].view(np.int16).max()) for _, at, length in pieces)
