"""Copies of files from far away: how much room they take, and how it is given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftlens.core.errors import MachineError
from shiftlens.core.places import copies_folder


@dataclass(frozen=True)
class Copies:
    """Copies that lie on this machine.

    Attributes:
        folder: where.
        files: how many.
        bytes: of all of them.
    """

    folder: Path
    files: int
    bytes: int


def copies() -> Copies:
    """What the copies of files from far away take here.

    Returns:
        their number and bytes; none of them is opened.
    """
    found = _oldest_first()
    return Copies(copies_folder(), len(found), sum(size for _, size in found))


def remove_copies(keep: int = 0) -> Copies:
    """Remove copies, those first that were fetched longest ago, until few enough bytes are left.

    What is removed is fetched again when it is wanted. A process that has a copy mapped keeps it;
    one that is about to open it may find it gone, and say so: run it again.

    Args:
        keep: bytes that may stay.

    Returns:
        what was removed.

    Raises:
        MachineError: one of them may not be removed.
    """
    found = _oldest_first()
    left, removed, freed = sum(size for _, size in found), 0, 0
    for file, size in found:
        if left <= keep:
            break
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(f"{file} cannot be removed ({error.strerror})") from error
        left, removed, freed = left - size, removed + 1, freed + size
    return Copies(copies_folder(), removed, freed)


def _oldest_first() -> Sequence[tuple[Path, int]]:
    """Every copy with its bytes; what another process has just removed is left out."""
    found: list[tuple[float, Path, int]] = []
    for file in copies_folder().glob("??/*"):
        try:
            known = file.stat()
        except FileNotFoundError:
            continue
        found.append((known.st_mtime, file, known.st_size))
    return [(file, size) for _, file, size in sorted(found)]
