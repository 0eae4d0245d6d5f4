"""Folders on other machines: ``s3://bucket/run``, and whatever else fsspec knows.

An object store shows a file whole or not at all, and renames none; so files are written here and
put there in one piece, and what is read often is fetched once. Credentials and addresses are taken
from the environment alone (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ...): an address is written
into reports, a password must not be.
"""

import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import MachineError, ShiftLensError, StoreError
from shiftlens.core.manifest import digest, replacing, sha256_file

ANEW = "the same harvest again makes it anew; all that is wrong: shiftlens store verify DIR"
"""What to do about a store's file that is missing or damaged."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}([^/].*)", re.DOTALL)
_BUCKETS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"}  # without folders
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocols for which there is an extra


@dataclass(frozen=True)
class Remote:
    """A folder on another file system. It holds nothing open, and can be sent to other processes.

    Attributes:
        url: such as ``s3://bucket/run``, without a slash at the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def under(self, name: str) -> "Remote":
        """A folder inside of it."""
        return Remote(f"{self.url}/{name}")

    def read_bytes(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """A file's bytes, or some of them.

        Raises:
            StoreError: there is no such file.
            MachineError: the place cannot be reached.
        """
        with self._told(name):
            system, root = self._system()
            return system.cat_file(f"{root}/{name}", start=start, end=end)

    def read_many(self, names: Sequence[str]) -> list[bytes]:
        """The bytes of several files, fetched at the same time.

        Raises:
            StoreError: one of them is not there.
            MachineError: the place cannot be reached.
        """
        if not names:
            return []
        with self._told(names[0]):
            system, root = self._system()
            found: Any = system.cat([f"{root}/{name}" for name in names])
            if isinstance(found, bytes):  # of one file, on some systems
                return [found]
            by_name = {path.removeprefix("/"): value for path, value in found.items()}
            return [by_name[f"{root}/{name}".removeprefix("/")] for name in names]

    def write_bytes(self, name: str, data: bytes) -> None:
        """Put a file in one piece, in place of what has its name.

        Raises:
            MachineError: the place cannot be reached, or may not be written.
        """
        with self._told(name):
            system, path = self._target(name)
            system.pipe_file(path, data)

    def put(self, file: Path, name: str) -> None:
        """Put a file of this machine; see ``write_bytes``."""
        with self._told(name):
            system, path = self._target(name)
            system.put_file(str(file), path)

    def get(self, name: str, file: Path) -> None:
        """Fetch a file to a path of this machine.

        Raises:
            StoreError: there is no such file.
            MachineError: the place cannot be reached, or the disk is full.
        """
        with self._told(name):
            system, root = self._system()
            system.info(f"{root}/{name}")  # or some systems make an empty file of what is not there
            system.get_file(f"{root}/{name}", str(file))

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name.

        Raises:
            MachineError: the place cannot be reached.
        """
        with self._told(name):
            system, root = self._system()
            try:  # isfile() would take a place that cannot be reached for one without the file
                return system.info(f"{root}/{name}")["type"] == "file"
            except FileNotFoundError:
                return False

    def sizes(self) -> dict[str, int]:
        """All files by name, folders in it included, each with its bytes.

        Raises:
            MachineError: the place cannot be reached.
        """
        with self._told(""):
            system, root = self._system()
            try:
                found: dict[str, dict[str, Any]] = system.find(root, detail=True)
            except FileNotFoundError:
                return {}
            return {path[len(root) + 1 :]: int(one["size"]) for path, one in found.items()}

    def remove(self, names: Sequence[str]) -> None:
        """Take files away.

        Raises:
            MachineError: the place cannot be reached, or may not be written.
        """
        if names:
            with self._told(names[0]):
                system, root = self._system()
                system.rm([f"{root}/{name}" for name in names])

    def fetch(self, name: str, sha256: str) -> Path:
        """The copy of a file on this machine, fetched once and checked.

        Raises:
            StoreError: it is missing, or is not what it was.
            MachineError: the place cannot be reached, or the disk is full.
        """
        copy = copies_folder() / sha256[:2] / (sha256 + Path(name).suffix)
        if not copy.exists():
            with replacing(copy) as temporary:
                self.get(name, temporary)
                if sha256_file(temporary) != sha256:
                    raise StoreError(f"{self.url}/{name} is missing or damaged (another SHA-256)")
        return copy

    @property
    def workshop(self) -> Path:
        """A folder of this machine for files that are being written, the same one every time."""
        return _cache() / "runs" / digest(self.url)[:32]

    def _target(self, name: str) -> tuple[Any, str]:
        """The file system, and the path of a file that is about to be written."""
        system, root = self._system()
        path = f"{root}/{name}"
        if self.url.split(":", 1)[0] not in _BUCKETS:  # a bucket that is misspelt is not made
            system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        return system, path

    def _system(self) -> tuple[Any, str]:
        """The file system, and this folder's path on it."""
        from fsspec.core import url_to_fs

        protocol = self.url.split(":", 1)[0]
        try:
            # A listing that was kept would not show what another process has written since.
            system, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise StoreError(
                f"{self.url} cannot be opened: {error}",
                remedy=f'pip install "shiftlens[{_EXTRAS[protocol]}]"'
                if protocol in _EXTRAS
                else "install it",
            ) from error
        except ValueError as error:
            raise StoreError(
                f"{self.url} cannot be opened: {error}",
                allowed="a path, or an address such as s3://bucket/run",
            ) from error
        return system, root.rstrip("/")

    @contextmanager
    def _told(self, name: str) -> Generator[None]:
        """Turn what went wrong far away into one sentence."""
        place = f"{self.url}/{name}" if name else self.url
        try:
            yield
        except ShiftLensError:
            raise
        except FileNotFoundError as error:
            raise StoreError(f"{place} is missing or damaged (no such file)") from error
        except Exception as error:
            raise MachineError(
                f"{place} cannot be read or written ({type(error).__name__}: {error})",
                allowed="what was finished before is kept and counted",
                remedy="check the address, and the credentials in the environment; then run the "
                "same command again",
            ) from error


@dataclass(frozen=True)
class Kept:
    """A file of a store, here or far away, that has not changed since it was written.

    Attributes:
        folder: where it is.
        name: of the file.
        sha256: of its bytes.
    """

    folder: Path | Remote
    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    def here(self) -> Path:
        """The file, or the copy of it on this machine.

        Raises:
            StoreError: it is far away, and missing or not what it was.
            MachineError: the place cannot be reached, or the disk is full.
        """
        if isinstance(self.folder, Remote):
            return self.folder.fetch(self.name, self.sha256)
        return self.folder / self.name

    def read(self, start: int, end: int) -> bytes:
        """Some of its bytes; of a file far away no others are fetched.

        Raises:
            OSError: it is here and cannot be read.
            StoreError: it is far away and missing.
            MachineError: the place cannot be reached.
        """
        if isinstance(self.folder, Remote):
            return self.folder.read_bytes(self.name, start, end)
        with (self.folder / self.name).open("rb") as stream:
            stream.seek(start)
            return stream.read(end - start)


def remote_of(path: str | Path) -> Remote | None:
    """The folder that an address means, or ``None`` for a path of this machine.

    Raises:
        StoreError: ``file://``: its path alone is meant.
    """
    # A path object has made one slash of two.
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        return None
    protocol, rest = found.groups()
    if protocol in ("file", "local"):
        raise StoreError(f"{path} is on this machine", remedy=f"give its path: /{rest}")
    return Remote(f"{protocol}://{rest.rstrip('/')}")


def place_of(path: str | Path) -> Path | Remote:
    """A path of this machine, or the folder that an address means."""
    return remote_of(path) or Path(path)


def under(place: Path | Remote, name: str) -> Path | Remote:
    """A folder inside of a place."""
    return place.under(name) if isinstance(place, Remote) else place / name


def require_here(path: str | Path, what: str) -> None:
    """Refuse an address where only this machine will do.

    Raises:
        StoreError: it is an address.
    """
    if remote_of(path) is not None:
        raise StoreError(
            f"{what} cannot be written to {path}", allowed="a directory of this machine"
        )


def copies_folder() -> Path:
    """Where copies of files from far away lie, by checksum; see ``shiftlens.core.copies``."""
    return _cache() / "files"


def _cache() -> Path:
    """Where copies and half-written parts lie; it may be removed when nothing runs."""
    named = os.environ.get("SHIFTLENS_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "shiftlens"
