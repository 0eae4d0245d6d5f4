"""What workers are told to do in these tests; they import it by name."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftlens.activations.job import Job
from shiftlens.activations.parts import harvest_part
from shiftlens.core.errors import DataError, MachineError


def ends(pid: int) -> bool:
    """Whether a process is gone within twenty seconds."""
    for _ in range(400):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def square(part: int) -> int:
    """A result that depends on the part alone."""
    return part * part


def slow_square(part: int) -> int:
    """The same after a while, so that every worker gets one."""
    time.sleep(0.2)
    return part * part


def note(folder: Path, part: int) -> int:
    """Count how often each part begins."""
    with (folder / str(part)).open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    return part


def die_once(folder: Path, part: int) -> int:
    """Part 2 kills the first worker that tries it."""
    note(folder, part)
    if part == 2 and len((folder / "2").read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def die_always(folder: Path, part: int) -> int:
    """Part 2 kills every worker that tries it."""
    note(folder, part)
    if part == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


def refuse(folder: Path, part: int) -> int:
    """Part 3 is an error of the user's, part 4 of the machine's, part 5 of nobody's family."""
    note(folder, part)
    if part == 3:
        raise DataError("part 3 is no part", allowed="1 or 2", remedy="leave it out")
    if part == 4:
        raise MachineError("the disk is full", remedy="free some space")
    if part == 5:
        raise ZeroDivisionError("five")
    return part


def harvest_elsewhere(job: Job, part: tuple[int, Any]) -> Any:
    """A part on a machine where the same path is a disk of its own."""
    roots = tuple(Path(f"{root}-of-another-machine") for root in job.roots)
    return harvest_part(replace(job, roots=roots), part)


def settings(_: int) -> dict[str, Any]:
    """What decides last digits in this worker."""
    import torch

    return {
        "pid": os.getpid(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
