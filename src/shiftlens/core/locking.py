"""Who may write a directory: one process for each share of a run, and nobody beside a whole run.

A lock is the system's (``flock``): it ends with its process, however that ends, and no clock is
asked. The file says who holds it. It stays when the lock is given back, until ``remove_locks``.
"""

import os
import re
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from shiftlens.core.errors import MachineError
from shiftlens.core.manifest import disk_guard

_NAME = re.compile(r"\.lock-(\d+)-of-(\d+)")
_BRIEF = ".lock-manifest"
_PATIENCE = 60.0  # seconds that a manifest may take to be written


@contextmanager
def locked(root: Path, share: tuple[int, int] = (1, 1)) -> Generator[None]:
    """Hold one share of a directory; the whole of it is share 1 of 1.

    Args:
        root: the directory; it is made if need be.
        share: ``(2, 4)`` is the second of four shares. Processes with different shares of the same
            number may write together; any other pair may not.

    Raises:
        MachineError: another process writes the same share, or the directory in other shares; or
            the directory is read-only.
    """
    with disk_guard(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / _name(share), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise _busy(root, _name(share)) from None
    try:
        # Its own file first, then those of others: of two that begin together, one sees the other.
        for file in sorted(root.glob(".lock-*-of-*")):
            _require_idle(file, share)
        _sign(root / _name(share))
        yield
    finally:
        lock.release()


@contextmanager
def briefly_locked(root: Path) -> Generator[None]:
    """Be the only one that begins or ends a manifest; waits for the other.

    Raises:
        MachineError: the other does not end.
    """
    with disk_guard(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / _BRIEF, timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise _busy(root, _BRIEF) from None
    try:
        yield
    finally:
        lock.release()


def remove_locks(root: Path) -> None:
    """Take away the files of all locks of a directory in which nothing is left to be written.

    One that another process still holds may go too: it protects nothing any more.
    """
    for file in root.glob(".lock-*"):
        with suppress(OSError):
            file.unlink()


def _name(share: tuple[int, int]) -> str:
    return f".lock-{share[0]}-of-{share[1]}"


def _require_idle(file: Path, share: tuple[int, int]) -> None:
    """Refuse a run that cuts the directory in another way; take away what a killed one left."""
    found = _NAME.fullmatch(file.name)
    if found is None or int(found[2]) == share[1]:
        return
    other = FileLock(file, timeout=0)
    try:
        other.acquire()
    except Timeout:
        raise _busy(file.parent, file.name) from None
    other.release()


def _sign(file: Path) -> None:
    # Only for the message of who comes second: a disk that is full is told where it matters.
    with suppress(OSError):
        file.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")


def _busy(root: Path, name: str) -> MachineError:
    holder = ""
    with suppress(OSError, UnicodeDecodeError):
        holder = (root / name).read_text(encoding="utf-8").strip()
    found = _NAME.fullmatch(name)
    what = f" as part {found[1]} of {found[2]}" if found and found[2] != "1" else ""
    return MachineError(
        f"{root} is being written by {holder or 'another process'}{what}",
        allowed="one process at a time, or several with different parts of the same number",
        remedy="wait for it to end, or choose another directory",
    )
