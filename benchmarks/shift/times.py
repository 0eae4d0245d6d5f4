"""How long a diff of the world's pair takes, and a comparison of twenty concepts."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import shift_speed
from benchmarks.figures import Figure

SAMPLES = 1500


def measure(root: Path) -> list[Figure]:
    """Wall time of ``shiftlens diff`` from nothing, then of one comparison."""
    out = root / "diff"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        *(sys.executable, "-c", "from shiftlens.cli.main import main; main()", "diff"),
        *("world:base", "world:places", "world:captions"),
        *("--n", str(SAMPLES), "--margin", "1", "--max-new-tokens", "24", "--batch-size", "100"),
        *("--out", str(out), "--quiet"),
    ]
    start = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    if not (out / "diff.json").is_file():
        raise RuntimeError(f"the diff left no result in {out}: nothing was timed")
    how = f"wall time of one diff of {SAMPLES} samples, all stages and both pages, from nothing"
    return [
        Figure("diff on the world's pair", seconds, None, None, "s", "<= 300", how),
        *shift_speed.measure(),
    ]
