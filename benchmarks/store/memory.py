"""Anonymous memory of a process that goes through a store which no memory would hold.

RssAnon is what the system cannot drop; mapped files do not count. The process is one of its own,
and what its libraries take is in the number.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.concepts.scale import Watch, anonymous_mb
from benchmarks.figures import Figure
from benchmarks.store.data import LARGE_PART, chunks, drawn, manifest_of, table
from shiftlens.activations.part_files import begin_files

BATCH = 4096
WAYS = ("shards", "batches", "drawn batches", "rows")
_LIMIT_GB = 1.0


def measure(folder: Path, n: int, d: int) -> list[Figure]:
    """Write the store, then go through it in every way, each in a process of its own."""
    real = shutil.disk_usage(folder).free > 1.5 * 2 * n * d
    write_large(folder / "store", n, d, linked=not real)
    kind = "" if real else " (every shard a hard link to one file: the disk had no room)"
    what = f"{n:,} x {d:,} float16, {2 * n * d / 1e9:.1f} GB on disk{kind}, shards of 8,192 rows"
    figures: list[Figure] = []
    for way in WAYS:
        found = _apart(folder / "store", way)
        goal = "" if way == "rows" else f"<= {_LIMIT_GB}"
        how = (
            f"largest RssAnon of a process, {found['idle_mb']:.0f} MB of it libraries; {what}; "
            f"batches of {BATCH:,}; {found['seconds']:.1f} s"
        )
        name = f"anonymous memory, {way} of {n:,} rows"
        figures.append(Figure(name, found["most_mb"] / 1024, None, None, "GB", goal, how))
        figures.append(Figure(f"{way}: rate", n / found["seconds"], None, None, "rows/s", "", what))
    return figures


def write_large(root: Path, n: int, d: int, *, linked: bool) -> None:
    """A store of many rows: every shard holds the same numbers, its own table beside it.

    Args:
        root: its directory.
        n: rows.
        d: width.
        linked: let every whole shard be a hard link to the first.
    """
    root.mkdir(parents=True)
    states, manifest = drawn(LARGE_PART, d), manifest_of(root, -(-n // LARGE_PART))
    for number, start, length in chunks(n, LARGE_PART):
        rows, counts = table(start, length), {"matched": length, "missed": 0, "failed": 0}
        copied = number > 0 and linked and length == LARGE_PART
        tensors = {} if copied else {"layer.0": states[:length]}
        part = begin_files(root, number, rows, tensors, counts, [])()
        if copied:
            (root / part["shard"]).unlink()
            os.link(root / manifest.parts[0]["shard"], root / part["shard"])
            part["sha256"]["shard"] = manifest.parts[0]["sha256"]["shard"]
        manifest.parts[number] = part
    manifest.write()


def _apart(root: Path, way: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.store.memory", str(root), way]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def here(root: Path, way: str) -> dict[str, float]:
    """Go through a store once; returns memory in MB and seconds."""
    import torch

    from shiftlens.activations.store import ActivationStore

    torch.zeros(1).sum()
    idle, start = anonymous_mb(), time.perf_counter()
    with Watch() as watch:
        store = ActivationStore.open(root)
        seen = 0
        if way == "rows":
            seen = len(store.rows)
        elif way == "shards":
            for numbers, states in store.shards():
                states.view(torch.int16).numpy().max()
                seen += len(numbers)
        else:
            seed = 0 if way == "drawn batches" else None
            for numbers, states in store.batches(BATCH, seed=seed):
                np.max(states.view(torch.int16).numpy())
                seen += len(numbers)
    if seen != len(store):
        raise RuntimeError(f"{seen} of {len(store)} rows were seen")
    seconds = time.perf_counter() - start
    return {"idle_mb": idle, "most_mb": watch.most_mb, "seconds": seconds}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Goes through a store once.")
    parser.add_argument("root", type=Path)
    parser.add_argument("way", choices=WAYS)
    given = parser.parse_args()
    print(json.dumps(here(given.root, given.way)))
