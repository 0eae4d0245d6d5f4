"""Run by ``test_killed.py`` in a process of its own: harvests that are killed, and go on.

Usage: python -m tests.faults.killed_harvest MODEL PICTURES OUT

For each moment a forked child begins a harvest and is killed by SIGKILL there; a second child runs
the same harvest to its end. Prints one line a moment: its name, how the first child ended, and how
many parts the manifest held then.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from shiftlens.activations import journal
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.manifest import has_manifest, read_manifest
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.core.progress import Silent
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_model

PARTS = 3


class _Deadly(Silent):
    """Kills its process after so many samples: inside a part, before anything is written."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, n: int = 1) -> None:
        self.left -= n
        if self.left <= 0:
            _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_at_rename(number: int, *, done: bool) -> None:
    """Be killed at the n-th rename of a file, just before it or just after."""
    real, calls = os.replace, 0

    def replace(source: str, target: str, **options: int) -> None:
        nonlocal calls
        calls += 1
        if calls == number and not done:
            _die()
        real(source, target, **options)
        if calls == number:
            _die()

    os.replace = replace  # type: ignore[assignment]


def _kill_at_line(number: int, *, share: float) -> None:
    """Be killed at the n-th line of the journal, when so much of it is on the disk."""
    real, calls = journal._append, 0

    def append(path: Path, line: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls < number:
            real(path, line)
            return
        real(path, line[: round(share * len(line))])
        _die()

    journal._append = append


def main(model_path: Path, pictures: Path, out: Path) -> None:
    """Kill and resume at every moment; the plain harvest is ``out/whole``."""
    torch.set_num_threads(1)
    model = load_model(model_path)
    files = sorted(pictures.glob("*.png"))
    samples = Samples([Sample(f"q{i}", "what is this ?", (str(f),)) for i, f in enumerate(files)])

    def run(name: str, progress: Silent | None = None) -> None:
        options = {"max_new_tokens": 4, "batch_size": 1, "part_size": len(samples) // PARTS}
        site = Site((1, -1), mean_response())
        harvest(model, samples, site, out / name, progress=progress, **options)

    def child(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    child(lambda: run("whole"))
    for number in range(1, len(samples) + 1):
        name = f"sample-{number}"
        _report(name, child(lambda n=number, at=name: run(at, _Deadly(n))), out)
        child(lambda at=name: run(at))
    # A rename for the first manifest, for shard and rows of each part, and for the last manifest;
    # in the journal a first line, and one for each part.
    kills: dict[str, Callable[[], None]] = {}
    for number in range(1, 1 + 2 * PARTS + 1 + 1):
        for done in (False, True):
            name = f"rename-{number}-{'after' if done else 'before'}"
            kills[name] = partial(_kill_at_rename, number, done=done)
    for number in range(1, 1 + PARTS + 1):
        for share in (0.0, 0.5, 0.999, 1.0):
            kills[f"line-{number}-{share}"] = partial(_kill_at_line, number, share=share)
    for name, prepare in kills.items():

        def work(at: str = name, first: Callable[[], None] = prepare) -> None:
            first()
            run(at)

        _report(name, child(work), out)
        child(lambda at=name: run(at))


def _report(name: str, code: int, out: Path) -> None:
    parts = len(read_manifest(out / name).parts) if has_manifest(out / name) else 0
    sys.stdout.write(f"{name} {code} {parts}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*(Path(one) for one in sys.argv[1:4]))
