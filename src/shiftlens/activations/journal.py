"""The journal of a run under way: one checksummed line for each part that became finished.

A manifest of 100,000 parts would be written anew 100,000 times. A journal grows by one synced line
a part instead, whatever stands in it already, and is put into the manifest at the end of the run.

A line is ``SHA-256 of the rest, a space, JSON``; the first one says which run the journal is of.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import disk_guard, sync_directory

_PATTERN = "journal*.jsonl"
_DIGITS = 64


def journal_path(root: Path, writer: str = "") -> Path:
    """The file of one writer: ``journal.jsonl``, or ``journal-2-of-4.jsonl`` for "2-of-4"."""
    return root / (f"journal-{writer}.jsonl" if writer else "journal.jsonl")


def journals(root: Path) -> list[Path]:
    """All journals of a store, by name."""
    return sorted(root.glob(_PATTERN))


@dataclass
class Journal:
    """Appends to one journal; a line that was cut off by a kill is taken away first.

    Attributes:
        path: the file; it appears with the first part.
        run: digest of the run that it is of.
    """

    path: Path
    run: str
    _sound: bool = False

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Append one part and force it to the disk.

        Args:
            number: of the part.
            entry: what the manifest will hold of it.

        Raises:
            StoreError: the file is damaged, or is the journal of another run.
            MachineError: the disk is full; the part does not count.
        """
        if not self._sound:
            self._mend()
        self._sound = False  # until the line is on the disk, nobody knows what is
        with disk_guard(self.path):
            _append(self.path, line_of({"part": number, "entry": entry}))
        self._sound = True

    def _mend(self) -> None:
        """Cut off half a last line, and begin a journal that is not there or has no first line."""
        kept = 0
        if self.path.exists():
            kept = read_journal(self.path, self.run)[1]
            with self.path.open("r+b") as stream:
                stream.truncate(kept)
        if not kept:
            with disk_guard(self.path):
                _append(self.path, line_of({"journal": 1, "run": self.run}))
                sync_directory(self.path.parent)


def read_journal(path: Path, run: str) -> tuple[dict[int, dict[str, Any]], int]:
    """Parts of one journal, the last word on each, and how many of its bytes are whole lines.

    A last line that is not whole is what a kill leaves, and is passed over: its part is done again.

    Args:
        path: the file.
        run: digest of the run that it must be of.

    Raises:
        StoreError: a line before the last one is damaged, or the journal is of another run.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    parts: dict[int, dict[str, Any]] = {}
    whole = 0
    for place, line in enumerate(lines):
        value = value_of(line)
        if value is None and place == len(lines) - 1:
            break
        if value is None or ("run" in value) != (place == 0):
            raise StoreError(
                f"line {place + 1} of {path} is damaged",
                remedy="remove the file and run the same harvest again: its parts are done anew",
            )
        if place == 0 and value["run"] != run:
            raise StoreError(
                f"{path} is the journal of another run",
                remedy="choose another directory, or remove the file",
            )
        if place:
            parts[int(value["part"])] = value["entry"]
        whole += len(line)
    return parts, whole


def line_of(value: dict[str, Any]) -> bytes:
    """A line of a journal."""
    # The order of keys stays: the manifest at the end is the same to the byte as without a journal.
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"


def value_of(line: bytes) -> dict[str, Any] | None:
    """What a line says, or nothing where it is not whole."""
    head, text = line[:_DIGITS], line[_DIGITS + 1 : -1]
    whole = line.endswith(b"\n") and hashlib.sha256(text).hexdigest().encode() == head
    return json.loads(text) if whole else None


def _append(path: Path, line: bytes) -> None:
    """Add a line and sync the file, whose length does not matter."""
    with path.open("ab") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())
