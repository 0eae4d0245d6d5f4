"""Pictures whose bytes stand in a table, written to files that any of our stages can open."""

import hashlib
from pathlib import Path

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import write_atomic

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def unpack(data: bytes, folder: Path) -> str:
    """Write a picture, and give its path.

    Its name is the digest of its bytes: the same picture is written once, whatever asks for it, and
    a name in the table cannot lead anywhere.

    Args:
        data: the bytes of the file, unchanged.
        folder: where it goes; made if it is not there.

    Raises:
        DataError: the folder is none.
        MachineError: the disk is full, or the folder may not be written.
    """
    path = folder / (hashlib.sha256(data).hexdigest()[:40] + _suffix(data))
    if not path.is_file() or path.stat().st_size != len(data):
        try:
            write_atomic(path, data)
        except (NotADirectoryError, FileExistsError) as error:
            raise DataError(f"pictures cannot go into {folder}, which is no folder") from error
    return str(path)


def _suffix(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _BEGINNINGS if data.startswith(start)), ".picture")
