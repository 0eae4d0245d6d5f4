"""All figures of the benchmark, in order."""

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.store import books, memory, reading, writing
from benchmarks.store.data import D

ROWS = 200_000
_LARGE = 5  # the store that no memory would hold has so many times the rows

_log = logging.getLogger(__name__)


def measure(rows: int = ROWS, *, folder: Path | None = None, only: str = "") -> list[Figure]:
    """Writing, reading, memory, bookkeeping.

    Args:
        rows: of the store that is compared with a memory map; the large one has five times as many.
        folder: where files go; removed afterwards.
        only: one part by name.
    """
    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "write": lambda at: writing.measure(at, rows, D),
        "read": lambda at: reading.measure(at, rows, D),
        "memory": lambda at: memory.measure(at, _LARGE * rows, D),
        "books": lambda at: books.measure(at, parts=rows // 2),
    }
    start, figures = time.monotonic(), list[Figure]()
    for name, part in parts.items():
        if only in ("", name):
            with tempfile.TemporaryDirectory(dir=folder) as temporary:
                figures += part(Path(temporary))
            _log.info("%s after %.0f s", name, time.monotonic() - start)
    return figures
