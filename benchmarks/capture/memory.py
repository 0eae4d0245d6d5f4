"""Peak memory of harvests, each in a process of its own.

``python -m benchmarks.capture.memory MODE FOLDER N`` runs one of them and prints its peak in MB.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.capture.wide import build_adapter, build_tuned, build_wide
from benchmarks.figures import Figure
from shiftlens.activations import tokens
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.in_turn import harvest_pair
from shiftlens.activations.site import Site
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_model, load_pair
from shiftlens.world import models
from shiftlens.world.source import materialise

PICTURES, BATCH, NEW = 64, 16, 6


def measure(root: Path, *, short: bool = False) -> list[Figure]:
    """Peaks and their ratios; the largest of the ours over the smallest of the others."""
    folder = root / "memory"
    materialise("captions", folder / "data", n=PICTURES, seed=1)
    build_wide(folder / "base")
    build_tuned(folder / "base", folder / "full")
    build_adapter(folder / "base", folder / "adapter")
    times, few, many = (1, 64, 256) if short else (4, 500, 2500)
    peak = {
        mode: [_peak(mode, folder, 16) for _ in range(times)]
        for mode in ("alone", "adapted", "both", "in-turn", "at-once")
    }
    flat = {n: [_peak("world", folder, n) for _ in range(times)] for n in (few, many)}
    what = "peak resident memory of a process, random LLaVA of 250 MB"
    return [
        _ratio("memory of base and adapter in one pass / one", peak["both"], peak["adapted"],
               "<= 1.05", f"{what}, against a harvest of the tuned model alone"),
        _ratio("memory of a full pair in turn / the base alone", peak["in-turn"], peak["alone"],
               "<= 1.1", f"{what}; harvest_pair frees the base before it loads the fine-tune"),
        _ratio("memory of a full pair at once / the base alone", peak["at-once"], peak["alone"],
               "", what),
        _ratio(f"memory of {many} samples / {few}", flat[many], flat[few], "<= 1.05",
               "peak resident memory of a process, the world's base; pictures repeat, ids do not"),
    ]  # fmt: skip


def _ratio(name: str, ours: list[float], theirs: list[float], goal: str, how: str) -> Figure:
    """Every run counts: the interval is from the kindest to the unkindest pair."""
    how = f"{how}; {len(ours)} runs each, all of them within the interval"
    value = sorted(ours)[len(ours) // 2] / sorted(theirs)[len(theirs) // 2]
    low, high = min(ours) / max(theirs), max(ours) / min(theirs)
    return Figure(name, value, low, high, "ratio", goal, how)


def _peak(mode: str, folder: Path, n: int) -> float:
    command = [sys.executable, "-m", "benchmarks.capture.memory", mode, str(folder), str(n)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["mb"])


def _run(mode: str, folder: Path, n: int) -> None:
    import tempfile

    pictures = read(folder / "data")
    samples = Samples(
        [
            Sample(f"s{at}", pictures[at % PICTURES].prompt, pictures[at % PICTURES].images)
            for at in range(n)
        ]
    )
    site = Site(-1, tokens.mean_response())
    options: dict[str, Any] = {"max_new_tokens": NEW, "batch_size": BATCH}
    base, full, adapter = (folder / name for name in ("base", "full", "adapter"))
    with tempfile.TemporaryDirectory() as out:
        if mode == "in-turn":
            harvest_pair(base, full, samples, site, out, response="base", **options)
            return
        if mode == "alone":
            asked: Any = load_model(base)
        elif mode == "adapted":
            asked = load_model(base, adapter=adapter)
        elif mode == "world":
            asked = load_model(models.path("base"))
        else:
            asked = load_pair(base, adapter if mode == "both" else full)
            options["response"] = "own" if mode == "both" else "base"
        harvest(asked, samples, site, out, **options)


def _peak_of_this_process() -> float:
    """In MB. What ``getrusage`` says of a child begins with its parent's, so it does not serve."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell the peak of a process")


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    _run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"mb": _peak_of_this_process()}))
