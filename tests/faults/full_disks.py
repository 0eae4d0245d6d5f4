"""Run by ``test_real_disks.py``: harvests on disks of every size that is too small, then larger.

Usage: python -m tests.faults.full_disks FOLDER

Mounts file systems that this process alone sees, harvests into them in forked children, makes them
larger, goes on, and compares with an undisturbed run. Prints JSON: what was run on which disk.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults import disks

_ROOM = {"kilobytes": 4096, "files": 1000}
_PAGE = 4  # kilobytes, the smallest step of such a disk


@dataclass
class Case:
    """A disk, and what a harvest said of it.

    Attributes:
        disk: what it had room for, such as ``12 kB``.
        errors: kinds of what a harvest raised, by how often it was tried.
        told: what the first said.
        left: temporary files after the first error.
        opened: what opening the store said before the disk became larger.
        differences: from an undisturbed run, in the end.
    """

    disk: str
    errors: list[str] = field(default_factory=list[str])
    told: str = ""
    left: list[str] = field(default_factory=list[str])
    opened: str = ""
    differences: list[str] = field(default_factory=list[str])


def main(folder: Path) -> None:
    """Run all cases."""
    mounts = disks.may_mount()
    from tests.faults.comparing import differences
    from tests.faults.scenes import build_scenes

    work = build_scenes(folder)[0].work[0]
    whole = folder / "whole"
    _tried(work, whole)
    cases: list[Case] = []
    if mounts:
        for kilobytes in range(_PAGE, 100, _PAGE):
            cases.append(_filled(work, folder, f"{kilobytes} kB", kilobytes=kilobytes))
            if not cases[-1].errors:
                break
        for number in range(2, 40):
            cases.append(_filled(work, folder, f"{number} files", kilobytes=4096, files=number))
            if not cases[-1].errors:
                break
    for size in (0, 1, 100, 1000):
        cases.append(_limited(work, folder, size))
    cases.append(_read_only(work, folder, whole, mounts=mounts))
    for case in cases[:-1]:
        case.differences = differences(whole, folder / case.disk)
    sys.stdout.write(json.dumps({"mounts": mounts, "cases": list(map(asdict, cases))}))


def _filled(work: Callable[[Path], object], folder: Path, name: str, **room: int) -> Case:
    out, case = folder / name, Case(name)
    if not disks.mount_small(out, **room):
        raise OSError(f"{out} cannot be mounted")
    _fail(work, out, case, times=2)
    disks.grow(out, **{key: _ROOM[key] for key in room})
    _tried(work, out)
    return case


def _limited(work: Callable[[Path], object], folder: Path, size: int) -> Case:
    def limited(out: Path) -> object:
        with disks.files_up_to(size):
            return work(out)

    case = Case(f"files up to {size} bytes")
    _fail(limited, folder / case.disk, case, times=2)
    _tried(work, folder / case.disk)
    return case


def _read_only(work: Callable[[Path], object], folder: Path, whole: Path, *, mounts: bool) -> Case:
    """An empty directory and a finished store on a disk that may only be read."""
    case = Case("read-only")
    (folder / "closed").mkdir()
    if mounts:
        for one in (folder / "closed", whole):
            if not disks.mount_read_only(one):
                raise OSError(f"{one} cannot be mounted")
        _fail(work, folder / "closed", case, times=1)
        case.opened = _tried(work, whole)[1]
        return case

    def bound(out: Path) -> object:
        with disks.without_rights(out):
            return work(out)

    _fail(bound, folder / "closed", case, times=1)
    case.opened = _tried(bound, whole)[1]
    return case


def _fail(work: Callable[[Path], object], out: Path, case: Case, *, times: int) -> None:
    from shiftlens.activations.store import ActivationStore
    from shiftlens.core.errors import StoreError

    for _ in range(times):
        kind, told = _tried(work, out)
        if kind:
            case.errors.append(kind)
            case.told = case.told or told
    case.left = [one.name for one in out.glob(".*.tmp")]
    try:
        ActivationStore.open(out)
        case.opened = "whole"
    except StoreError as error:
        case.opened = str(error)


def _tried(work: Callable[[Path], object], out: Path) -> tuple[str, str]:
    """Work in a forked child; the kind of its error and what it says, or two empty texts."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        found = ["", ""]
        try:
            work(out)
        except Exception as error:
            found = [type(error).__name__, str(error)]
        os.write(write, json.dumps(found).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        told = stream.read()
    os.waitpid(pid, 0)
    kind, text = json.loads(told) if told else ("died", "")
    return kind, text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
