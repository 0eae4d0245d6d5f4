"""Files that are either whole or absent, and digests of what is in them.

Everything shiftlens keeps is written to a temporary name in the same directory, synced, and
renamed: a reader never sees half a file, whatever kills the writer.
"""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shiftlens.core.errors import MachineError, StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def disk_guard(path: Path) -> Generator[None]:
    """Make one sentence of a disk that is full or closed to us; every other error passes."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MachineError):
            raise
        if _errno(error) in _FULL:
            raise MachineError(
                f"the disk is full while writing {path}",
                allowed="what was finished before is kept and counted; nothing half-written is",
                remedy="free some space, then run the same command again: it goes on from there",
            ) from error
        if _errno(error) == errno.EFBIG:
            raise MachineError(
                f"{path} is larger than a file of this process may be",
                allowed="what was finished before is kept and counted; nothing half-written is",
                remedy="raise the limit (see ulimit -f), then run the same command again",
            ) from error
        if _errno(error) in _CLOSED:
            raise MachineError(
                f"{path} may not be written ({error})",
                remedy="choose a directory of your own, or give yourself the right to write there",
            ) from error
        raise


def _errno(error: Exception) -> int | None:
    """The system's number for an error; safetensors, written in Rust, tells it in the text only."""
    if isinstance(error, OSError):
        return error.errno
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named[1]) if named else None


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a temporary path; when the block ends well, it becomes ``path`` in one step.

    Yields:
        a path in the same directory, for any writer (safetensors, parquet, text).

    Raises:
        MachineError: the disk is full, or may not be written. The temporary file is removed,
            ``path`` stays what it was.
    """
    with _replaced([path]) as (temporary,):
        yield temporary
        sync_file(temporary)


class Replacing:
    """Files of one directory on their way to the disk: see ``replacing_all``."""

    def __init__(self, temporaries: Sequence[Path], pool: ThreadPoolExecutor) -> None:
        self.temporaries = tuple(temporaries)
        self._pool = pool
        self._synced: dict[Path, Future[None]] = {}
        self._hashed: dict[Path, Future[str]] = {}

    def written(self, temporary: Path) -> None:
        """A file is whole: it is forced to the disk and hashed while others are written."""
        self._synced[temporary] = self._pool.submit(sync_file, temporary)
        self._hashed[temporary] = self._pool.submit(sha256_file, temporary)

    @property
    def digests(self) -> list[str]:
        """SHA-256 of each file, in order, once all of them are on the disk."""
        for temporary in self.temporaries:
            if temporary not in self._synced:
                self.written(temporary)
        for one in self._synced.values():
            one.result()
        return [self._hashed[one].result() for one in self.temporaries]


@contextmanager
def replacing_all(*paths: Path) -> Generator[Replacing]:
    """Give temporary paths for files of one directory, and their digests; see ``replacing``.

    The files are forced to the disk at the same time, and hashed meanwhile, which takes hardly
    longer than to sync one. Each appears in one step; a kill may come between two of them. Unlike
    with ``replacing``, the directory is left to whoever says that the files exist: a loss of power
    may take a name away again, never a byte out of a file.

    Yields:
        the temporary paths, who is told when one is whole, and who knows the digests.

    Raises:
        MachineError: see ``replacing``.
    """
    with (
        ThreadPoolExecutor(2 * len(paths)) as pool,
        _replaced(paths, sync_names=False) as temporaries,
    ):
        files = Replacing(temporaries, pool)
        yield files
        files.digests  # noqa: B018  # waits for all of them


@contextmanager
def _replaced(paths: Sequence[Path], sync_names: bool = True) -> Generator[tuple[Path, ...]]:
    """Rename files into place at the end of a block that has written and synced them."""
    temporaries: list[Path] = []
    try:
        with disk_guard(paths[0]):
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            temporaries += map(_beside, paths)
            yield tuple(temporaries)
            for temporary, path in zip(temporaries, paths, strict=True):
                temporary.chmod(0o644)
                temporary.replace(path)
            if sync_names:
                sync_directory(paths[0].parent)
    except BaseException:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def _beside(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    return Path(name)


def remove_leftovers(root: Path) -> None:
    """Take away what writers in a directory had not renamed when they were killed.

    Nobody else may be writing there. What cannot be removed stays: it counts for nothing.
    """
    for file in root.glob(".*.tmp"):
        with suppress(OSError):
            file.unlink()


def sync_file(path: Path) -> None:
    """Force a file's bytes to the disk."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def sync_directory(path: Path) -> None:
    """Force a directory's entries (creations, renames) to the disk, where the system knows how."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, data: bytes) -> None:
    """Write bytes so that ``path`` is either the old file or the whole new one.

    Raises:
        MachineError: the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: see ``json_bytes``."""
    write_atomic(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """JSON as every file of shiftlens has it: UTF-8, indented, keys in the order given."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        StoreError: the file is missing or is not JSON.
    """
    try:
        return json_of(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise StoreError(f"{path} does not exist") from error


def json_of(data: bytes, name: str) -> Any:
    """What the bytes of a file say.

    Raises:
        StoreError: they are not JSON.
    """
    try:
        return json.loads(data.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"{name} is not valid JSON ({error})") from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON (sorted keys, no spaces), in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
