"""Build wheel and sources from a copy of the files that git knows, and from nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def known_files(under: str = ".") -> list[str]:
    """Files that git tracks below a folder, as they lie here now, with slashes."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", under], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def build(out: Path, workshop: Path) -> tuple[Path, Path]:
    """Build both files.

    A tree that was built before holds ``build/lib``, whose files would come along: so it is done in
    a copy.

    Args:
        out: where they go; emptied of older ones.
        workshop: an empty folder for the copy.

    Returns:
        the wheel and the archive of the sources.
    """
    for name in known_files():
        target = workshop / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.whl"), *out.glob("*.tar.gz")):
        old.unlink()
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out.resolve())]
    done = subprocess.run(command, cwd=workshop, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the build failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (wheel,), (sources,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sources
