"""All figures of the benchmark: each input is written, then read by a process of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.readers.inputs import write_features, write_long_line, write_table

LINE_GB, TABLE_MB, FEATURES_GB = 2.0, 137.0, 1.0
LIMIT = 1000
"""Rows that are kept of the table."""

_HOW = "largest RssAnon of a process beyond the {idle:.0f} MB of its libraries; {seconds:.1f} s"


def measure(
    *,
    line_gb: float = LINE_GB,
    table_mb: float = TABLE_MB,
    features_gb: float = FEATURES_GB,
    folder: Path | None = None,
) -> list[Figure]:
    """A line without an end, a table of which little is kept, a file of features.

    Args:
        line_gb: of the line; a hole in a file, which takes no room on the disk.
        table_mb: of the JSONL.
        features_gb: of the ``.pth`` file; the store that is made of it is as large.
        folder: where files go; removed afterwards.
    """
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        at = Path(temporary)
        return [
            *_line(at, int(line_gb * 1e9)),
            *_table(at, int(table_mb * 1e6)),
            *_features(at, int(features_gb * 1e9)),
        ]


def _line(folder: Path, size: int) -> list[Figure]:
    file = write_long_line(folder / "line.jsonl", size)
    found = _apart("line", file)
    file.unlink()
    if "line 2 of line.jsonl is longer than" not in found["said"]:
        raise RuntimeError(f"the long line was not refused: {found['said']!r}")
    what = f"a JSONL whose second line has {size / 1e9:g} GB, refused by its number"
    return _figures("a line without an end", found, what, "<= 200")


def _table(folder: Path, size: int) -> list[Figure]:
    file, rows = write_table(folder / "table.jsonl", size)
    figures: list[Figure] = []
    for name, way in (("the first", "first"), ("any", "drawn")):
        found = _apart(way, file)
        what = f"where and limit={LIMIT:,} ({name} of the rows) of {rows:,} in {size / 1e6:g} MB"
        figures += _figures(f"{name} {LIMIT:,} rows", found, what, "<= 50")
    file.unlink()
    return figures


def _features(folder: Path, size: int) -> list[Figure]:
    file, rows = write_features(folder / "features.pth", size)
    found = _apart("features", file)
    if found["rows"] != rows:
        raise RuntimeError(f"{found['rows']} of {rows} states were imported")
    what = f"import of {rows:,} states in {size / 1e9:g} GB"
    return _figures("import of a .pth", found, what, "<= 500")


def _figures(name: str, found: dict[str, Any], what: str, goal: str) -> list[Figure]:
    idle, more = found["idle_mb"], found["most_mb"] - found["idle_mb"]
    how = f"{what}; {_HOW.format(idle=idle, seconds=found['seconds'])}"
    return [
        Figure(f"memory, {name}", more, None, None, "MB", goal, how),
        Figure(f"time, {name}", found["seconds"], None, None, "s", "", what),
    ]


def _apart(way: str, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.readers.reading", way, str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
