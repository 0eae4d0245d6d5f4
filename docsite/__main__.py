"""``python -m docsite [FOLDER]``: build the site, in ``build/site``; any warning is an error."""

import os
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import main as sphinx

from docsite.finishing import finish
from docsite.staging import ROOT, stage


def build(out: Path, work: Path) -> int:
    """Build the site; returns the exit code of the generator.

    Args:
        out: where the pages go; what was there is taken away.
        work: for the sources that are laid out, and what the generator remembers.
    """
    shutil.rmtree(out, ignore_errors=True)
    stage(work / "source")
    here = os.fspath(Path(__file__).parent)
    quietly = ["-q", "-W", "--keep-going", "-b", "html", "-c", here]
    code = sphinx(
        [*quietly, "-d", os.fspath(work / "doctrees"), os.fspath(work / "source"), os.fspath(out)]
    )
    if code == 0:
        finish(out)
    return code


def _built_here(words: list[str]) -> int:
    """Build into the folder that is named, or into ``build/site``."""
    out = Path(words[0]) if words else ROOT / "build" / "site"
    return build(out.resolve(), out.resolve().with_name(f"{out.name}-work"))


if __name__ == "__main__":
    sys.exit(_built_here(sys.argv[1:]))
