"""``python -m docsite.tutorials PAGE...``: run tutorials, and write what they print into them.

Each runs in an empty directory. Commands run within this process, because each import of torch
takes seconds; all Python blocks of a page share their names.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from docsite.pages import RUNS, Block, parse, whole
from docsite.printing import first_difference
from shiftlens.cli import main as cli

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
_CODE = re.compile(r'^(.*?); echo "exit code \$\?"$')
_CHANGING = re.compile(r"^took \d")
"""Lines that are never the same twice."""


def pages() -> list[Path]:
    """The tutorials, without their index."""
    return [path for path in sorted(FOLDER.glob("*.md")) if path.stem != "index"]


def run(page: Path) -> Iterator[tuple[Block, Block | None, str]]:
    """Run a page in the working directory: each block that runs, its print in the page, and what
    it printed now.

    Raises:
        RuntimeError: a command ended with an exit code that the page does not ask for.
    """
    names: dict[str, Any] = {"__name__": page.stem}
    blocks = parse(page.read_text(encoding="utf-8"))
    for at, block in enumerate(blocks):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        if block.kind not in RUNS:
            continue
        shown = next((one for one in blocks[at + 1 : at + 3] if one.printed), None)
        yield block, shown, _said(block, names)


def _said(block: Block, names: dict[str, Any]) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if block.kind == "python":
            exec(compile(block.text, "tutorial", "exec"), names)
        else:
            for line in block.text.replace("\\\n", " ").splitlines():
                _command(line, err)
    return out.getvalue()


def _command(line: str, err: io.StringIO) -> None:
    """One line of a shell: a verb of ours, and after it, where asked for, its exit code."""
    asked = _CODE.match(line)
    words = shlex.split(asked[1] if asked else line)
    if not words or words[0] != "shiftlens":
        raise RuntimeError(f"not a command of shiftlens: {line!r}")
    code = cli.run_app(words[1:])
    if asked:
        sys.stdout.write(f"exit code {code}\n")
    elif code:
        raise RuntimeError(f"{line!r} ended with {code}: {err.getvalue()[-2000:]}")


def filled(page: Path) -> str:
    """The page with what its blocks print now, where that differs from what it shows."""
    blocks = parse(page.read_text(encoding="utf-8"))
    said = iter([(shown, text) for _, shown, text in run(page) if shown is not None])
    return whole([_fresh(one, *next(said)) if one.printed else one for one in blocks])


def _fresh(block: Block, shown: Block, said: str) -> Block:
    if not first_difference(shown.text, said):
        return block
    here = os.fspath(Path.cwd())
    lines = [
        "..." if _CHANGING.match(line) or here in line else line.rstrip()
        for line in said.strip("\n").splitlines()
    ]
    return replace(block, text="\n".join(lines) + "\n")


def main(names: list[str]) -> None:
    """Fill the named pages, or all."""
    for page in [Path(name).resolve() for name in names] or pages():
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            text = filled(page)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
