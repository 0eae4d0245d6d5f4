"""The documentation site for tests: built by a process of its own, as ``make site`` does it."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def built_site(out: Path) -> Path:
    """Build the site into a folder; anything that the generator warns of fails."""
    done = subprocess.run(
        [sys.executable, "-m", "docsite", out],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out
