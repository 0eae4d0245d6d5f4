"""A checkpoint that appears in its folder whole: what is not finished is never one.

Files are made in a hidden folder inside the target, which may be a mounted disk, and moved when all
is well, the configuration last: no engine loads weights without it.
"""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import disk_guard, sync_directory, sync_file

CONFIG = "config.json"
_PREFIX, _SUFFIX = ".baking-", ".tmp"


def require_empty(folder: Path) -> None:
    """Refuse a folder that holds anything; what a killed export left behind does not count.

    Raises:
        ExportError: it holds something, or is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file", allowed="a new folder, or an empty one")
    found = [one for one in folder.iterdir() if not _is_left(one)] if folder.exists() else []
    if found:
        raise ExportError(
            f"{folder} is not empty: weights of two checkpoints in one folder are read as one",
            allowed="a folder that does not exist, or an empty one",
        )


@contextmanager
def staged(folder: Path) -> Generator[Path]:
    """Give a place for a checkpoint's files; when the block ends well, they are moved to a folder.

    Args:
        folder: which is made; empty, but for what a killed export left, which is removed.

    Yields:
        a folder inside of it.

    Raises:
        ExportError: it is not empty.
        MachineError: the disk is full, or may not be written. Nothing of the checkpoint is left.
    """
    require_empty(folder)
    with disk_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for one in folder.iterdir():
            if _is_left(one):
                shutil.rmtree(one)
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder))
        try:
            yield place
            files = sorted(place.iterdir(), key=lambda one: one.name == CONFIG)
            for file in files:
                sync_file(file)
            for file in files:
                file.replace(folder / file.name)
            sync_directory(folder)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _is_left(one: Path) -> bool:
    return one.name.startswith(_PREFIX) and one.name.endswith(_SUFFIX) and one.is_dir()
