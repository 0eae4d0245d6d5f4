"""Where a process was when it was killed: one byte of memory that it shares with its parent."""

import mmap
from collections.abc import Callable
from functools import wraps
from typing import Any

from shiftlens.activations import (
    harvesting,
    in_turn,
    journal,
    parts,
    survey,
    writing,
)

NAMES = ("starting", "beginning", "between", "model", "files", "journal", "finishing", "ended")
"""Before anything of ours; locks and the first manifest; between parts; in the model; a shard or a
table under way; a line of the journal under way; the last manifest; after the end."""

_WATCHED: tuple[tuple[Any, str, str], ...] = (
    (harvesting, "being_written", "beginning"),
    (survey, "being_written", "beginning"),
    (in_turn, "being_written", "beginning"),
    (harvesting, "begin_part", "model"),
    (survey, "_part", "model"),
    (parts, "begin_files", "files"),
    (survey, "_write", "files"),
    (journal, "_append", "journal"),
    (writing, "_begun", "beginning"),
    (writing, "_conclude", "finishing"),
)


class Phase:
    """Made in the parent, set by a forked child, read by the parent when the child is dead."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    @property
    def name(self) -> str:
        """Where the child is, or was last."""
        return NAMES[self._shared[0]]

    def set(self, name: str) -> None:
        """Note where this process is."""
        self._shared[0] = NAMES.index(name)

    def watch(self, *, parts: bool) -> None:
        """Note, from now on and in this process, which of the watched functions it is in.

        Args:
            parts: also of those that do a part; not where they are sent to other processes.
        """
        for owner, function, name in _WATCHED:
            if name in ("model", "files") and not parts:
                continue
            setattr(owner, function, self._noting(getattr(owner, function), name))

    def _noting(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        after = "between" if name == "beginning" else None

        @wraps(real)
        def noted(*args: Any, **options: Any) -> Any:
            before = self.name
            self.set(name)
            try:
                return real(*args, **options)
            finally:
                self.set(after or before)

        return noted
