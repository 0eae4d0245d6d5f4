"""Answers that were given already, one checksummed line each: a search that was killed goes on."""

import json
import os
from pathlib import Path
from typing import Any

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import digest, disk_guard

FILE = "cells.jsonl"
_CHECK = 16  # digits of the checksum


class Ledger:
    """Results by the digest of everything that decides them; nothing else is ever read back.

    Lines are appended and synced. A line that is torn or damaged is left out, so what it held is
    computed again; lines of other searches stay and are never read.

    Args:
        folder: where ``cells.jsonl`` lies; ``None`` to remember nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE
        self._known: dict[str, Any] = {}
        self._torn = False
        self.damaged = 0
        """Lines that could not be used."""
        if self._path is not None and self._path.exists():
            self._read(self._path)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str | None) -> Any:
        """What was written under a key, or ``None``."""
        return None if key is None else self._known.get(key)

    def keep(self, key: str | None, body: Any) -> None:
        """Write a result; without a key it is not kept.

        Raises:
            MachineError: the disk is full.
        """
        if key is None or self._path is None:
            return
        text = json.dumps({"key": key, "check": _check(key, body), "body": body})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with disk_guard(self._path), self._path.open("ab") as stream:
            stream.write((b"\n" if self._torn else b"") + text.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._torn = False
        self._known[key] = body

    def _read(self, path: Path) -> None:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error})") from error
        self._torn = bool(raw) and not raw.endswith(b"\n")
        for line in raw.splitlines():
            if not line.strip():
                continue
            try:
                found = json.loads(line)
                key, body = found["key"], found["body"]
                whole = found["check"] == _check(key, body)
            except (ValueError, KeyError, TypeError):
                whole, key, body = False, "", None
            if whole:
                self._known[key] = body
            else:
                self.damaged += 1


def _check(key: str, body: Any) -> str:
    return digest([key, body])[:_CHECK]
