"""Whether what workers wrote is where this process will read it."""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shiftlens.activations.job import Job
from shiftlens.core.errors import MachineError

_PAUSE = 0.5


def at_home(job: Job) -> tuple[Any, ...]:
    """The roots of a job as other processes must name them: they may stand elsewhere."""
    return tuple(one.absolute() if isinstance(one, Path) else one for one in job.roots)


def require_arrived(
    roots: Sequence[Any], entries: Sequence[Mapping[str, Any]], where: str, patience: float
) -> None:
    """Wait until the files of a part are seen from here.

    Args:
        roots: of the stores; only those on this machine's file systems are looked at.
        entries: of the part, one a store.
        where: the worker that wrote them.
        patience: seconds; a shared file system may show what others wrote only after a while.

    Raises:
        MachineError: they are not seen, because the worker wrote to a disk of its own.
    """
    wanted = [
        root / entry[kind]
        for root, entry in zip(roots, entries, strict=True)
        for kind in ("shard", "rows")
        if isinstance(root, Path)
    ]
    until = time.monotonic() + patience
    while missing := [file for file in wanted if not file.exists()]:
        if time.monotonic() >= until:
            raise MachineError(
                f"worker {where} has written {missing[0]}, and it is not there",
                allowed="a directory that all machines share, or an address such as s3://bucket/run",
                remedy="choose one with --out",
            )
        for folder in {file.parent for file in missing}:
            with suppress(OSError):
                os.listdir(folder)  # noqa: PTH208 - asks the server anew
        time.sleep(_PAUSE)
