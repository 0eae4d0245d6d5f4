"""Disks that are really full, and directories that really may not be written, for one process.

As root, or where users may have namespaces of their own, a small file system in memory is
mounted that this process alone sees, and that ends with it. Elsewhere a limit on the size of files
has to do.
"""

import ctypes
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_READ_ONLY, _REMOUNT, _BIND, _APART = 1, 32, 4096, (1 << 18) | 16384
_CAPABILITIES = 0x20080522  # version 3: two words of 32 bits
_OVERRIDE = (1 << 1) | (1 << 2) | (1 << 3)  # rights that do not bind root: write, search, own


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def may_mount() -> bool:
    """Give this process mounts of its own, if the system lets it; for good."""
    libc, user, group = _library(), os.getuid(), os.getgid()
    if libc.unshare(_NEW_MOUNTS):
        if libc.unshare(_NEW_MOUNTS | _NEW_USER):
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    # What is mounted here is not to appear anywhere else.
    return libc.mount(b"none", b"/", None, _APART, None) == 0


def mount_small(folder: Path, *, kilobytes: int, files: int = 0) -> bool:
    """Mount a file system in memory of so many kilobytes and, if given, files; or return false."""
    folder.mkdir(parents=True, exist_ok=True)
    given = f"size={kilobytes}k" + (f",nr_inodes={files}" if files else "")
    return _library().mount(b"shiftlens", bytes(folder), b"tmpfs", 0, given.encode()) == 0


def grow(folder: Path, *, kilobytes: int, files: int = 0) -> None:
    """Give a small file system more room.

    Raises:
        OSError: it does not become larger.
    """
    given = f"size={kilobytes}k" + (f",nr_inodes={files}" if files else "")
    if _library().mount(b"shiftlens", bytes(folder), b"tmpfs", _REMOUNT, given.encode()):
        raise OSError(ctypes.get_errno(), f"{folder} cannot be made larger")


def mount_read_only(folder: Path) -> bool:
    """Make a directory read-only for this process, whoever owns it; or return false."""
    libc, name = _library(), bytes(folder)
    if libc.mount(name, name, None, _BIND, None):
        return False
    return libc.mount(b"none", name, None, _REMOUNT | _BIND | _READ_ONLY, None) == 0


@contextmanager
def files_up_to(size: int) -> Generator[None]:
    """No file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_rights(folder: Path) -> Generator[None]:
    """A directory that may be read and not written; the rights bind root, too, inside the block."""
    before = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        with _bound_by_rights():
            yield
    finally:
        folder.chmod(before)


@contextmanager
def _bound_by_rights() -> Generator[None]:
    """Put down what lets root pass over rights, in this thread."""
    libc = _library()
    head = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    held = (ctypes.c_uint32 * 6)()
    if libc.capget(head, held):
        raise OSError(ctypes.get_errno(), "capget")
    bound = (ctypes.c_uint32 * 6)(*held)
    bound[0] &= ~_OVERRIDE & 0xFFFFFFFF  # the effective ones; they stay permitted
    if libc.capset(head, bound):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        libc.capset(head, held)
