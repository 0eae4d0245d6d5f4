"""The ``shiftlens`` command in processes of its own, on a tiny model and many questions."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.builders import build_llava, build_pictures

# What a shell puts into the background ignores Ctrl-C, and so does what that starts.
_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from shiftlens.cli.main import main
main()
"""
PARTS = 2
_ROWS = 256 + 128  # the command's parts are of 256 samples
_PATIENCE = 300.0


@dataclass
class Commands:
    """A folder with a model and data, and the commands that read them.

    Attributes:
        folder: of everything.
        seconds: that a harvest takes which nobody disturbs, once there was one.
        options: of every harvest.
    """

    folder: Path
    seconds: float = 0.0
    options: Sequence[str] = field(default_factory=lambda: ["--max-new-tokens", "2", "--quiet"])

    def build(self) -> "Commands":
        """Write model, pictures and data."""
        build_llava(self.folder / "model")
        pictures = build_pictures(self.folder / "pictures")
        rows = [
            {"id": f"q{at}", "prompt": "what is this ?", "image": str(pictures[at % len(pictures)])}
            for at in range(_ROWS)
        ]
        data = "".join(json.dumps(row) + "\n" for row in rows)
        (self.folder / "data.jsonl").write_text(data)
        return self

    def harvest(self, out: Path, *more: str, **given: str) -> subprocess.Popen[str]:
        """Begin a harvest in a session of its own, as a terminal would.

        Args:
            out: the store's directory.
            more: options.
            given: variables of its environment.
        """
        model, data = str(self.folder / "model"), str(self.folder / "data.jsonl")
        words = ["harvest", model, data, "-o", str(out), *self.options, *more]
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **given},
        )

    def whole(self) -> Path:
        """A harvest that nobody disturbed; run once."""
        out = self.folder / "whole"
        if not out.exists():
            began = time.monotonic()
            code, _, err = ended(self.harvest(out))
            self.seconds = time.monotonic() - began
            if code:
                raise RuntimeError(err)
        return out


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Await a process: its exit code, what it said, and what it complained about."""
    out, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out, err


def await_(seen: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs.

    Raises:
        RuntimeError: the process ended before.
    """
    end = time.monotonic() + _PATIENCE
    while not seen():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"it ended before: {process.communicate()[1]}")
        time.sleep(0.005)


def parts_in_journal(out: Path) -> int:
    """How many parts the journal of a store under way names."""
    file = out / "journal.jsonl"
    return max(0, file.read_bytes().count(b"\n") - 1) if file.exists() else 0


def in_session(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found: list[int] = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, at = file.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(at) == session and state not in "ZX":
            found.append(int(file.parent.name))
    return found
