"""The files of states of a store: mapped, never read whole; single rows come from where they lie.

``safetensors`` maps a file privately: a tensor of it is a view, whose pages the system drops when
it needs the room, and what is written into it stays in this process.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from shiftlens.core.errors import StoreError
from shiftlens.core.places import ANEW, Kept

Pieces = NDArray[Any]
"""Rows, each one item of a void type as wide as a row."""

Numbers = NDArray[np.int64]
"""Numbers of rows."""

_MAPPED = 4096  # files that stay mapped; a process may have 65,530 mappings on Linux
_LONG = 8  # rows in a run, from which on runs are copied rather than rows


@dataclass(frozen=True)
class _Held:
    """A mapped tensor, each row as one piece of memory: NumPy knows no bfloat16."""

    rows: Pieces
    dtype: torch.dtype
    width: int
    path: Path
    size: int

    @classmethod
    def of(cls, states: Tensor, path: Path) -> "_Held":
        raw = states.view(torch.uint8).numpy()
        piece = np.dtype((np.void, raw.shape[1]))
        size = path.stat().st_size
        return cls(raw.view(piece)[:, 0], states.dtype, states.shape[1], path, size)

    def is_cut(self) -> bool:
        """Whether the file has become shorter: to read a mapping beyond its end kills a process."""
        try:
            return self.path.stat().st_size < self.size
        except FileNotFoundError:  # what is mapped stays
            return False


class Shards:
    """The files of a store that hold rows, in order.

    Args:
        files: each file with the number of its rows; one that is far away is fetched when it is
            needed.
    """

    def __init__(self, files: Sequence[tuple[Kept, int]]) -> None:
        kept = [(file, n) for file, n in files if n]
        self.files = [file for file, _ in kept]
        self.starts: Numbers = np.cumsum([0, *(n for _, n in kept)], dtype=np.int64)
        self._mapped: OrderedDict[tuple[int, str], _Held] = OrderedDict()
        self._kinds: dict[str, tuple[torch.dtype, int]] = {}

    def __len__(self) -> int:
        return len(self.files)

    def tensor(self, number: int, name: str) -> Tensor:
        """One tensor of one file (m, d), mapped anew: what is written into it nobody else sees.

        Raises:
            StoreError: the file is missing or damaged, or has not the rows that it should have.
            MachineError: it is far away, and cannot be reached.
        """
        file = self.files[number]
        path = file.here()
        try:
            with safe_open(path, framework="pt") as shard:
                states = shard.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{file} is missing or damaged ({error})", remedy=ANEW) from error
        n = int(self.starts[number + 1] - self.starts[number])
        if states.ndim != 2 or len(states) != n:
            raise StoreError(
                f"{file} is damaged: {name} has the shape {tuple(states.shape)}",
                allowed=f"({n}, width): as many rows as the manifest says",
            )
        return states

    def gather(self, rows: Numbers, name: str) -> Tensor:
        """Some rows (m, d) in the order given, copied; no file is read whole.

        Raises:
            StoreError: there are no rows, or a file is missing or damaged.
        """
        if not self.files:
            raise StoreError("a store without rows has none to give")
        shards = np.searchsorted(self.starts, rows, side="right") - 1
        places = rows - self.starts[shards]
        like = self._held(int(shards[0]) if len(rows) else 0, name)
        if not len(rows):
            return torch.empty(0, like.width, dtype=like.dtype)
        # NumPy asks for large pages where torch does not: half the time goes into small ones.
        found = np.empty(len(rows), like.rows.dtype)
        runs = np.flatnonzero((np.diff(shards) != 0) | (np.diff(places) != 1)) + 1
        if len(runs) * _LONG < len(rows):
            self._copy_runs(found, shards, places, [0, *runs.tolist()], name)
        else:
            self._copy_by_file(found, shards, places, name)
        raw = found.view(np.uint8).reshape(len(rows), -1)
        return torch.from_numpy(raw).view(like.dtype)

    def _copy_runs(
        self,
        found: Pieces,
        shards: Numbers,
        places: Numbers,
        begins: list[int],
        name: str,
    ) -> None:
        """Rows that lie together and are wanted together, each run in one piece."""
        first = zip(shards[begins].tolist(), places[begins].tolist(), strict=True)
        ends = [*begins[1:], len(found)]
        for begin, end, (shard, place) in zip(begins, ends, first, strict=True):
            found[begin:end] = self._held(shard, name).rows[place : place + end - begin]

    def _copy_by_file(self, found: Pieces, shards: Numbers, places: Numbers, name: str) -> None:
        """All rows of a file at once."""
        order = np.argsort(shards, kind="stable")
        shards, places = shards[order], places[order]
        begins = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist()]
        ends = [*begins[1:], len(order)]
        for begin, end, shard in zip(begins, ends, shards[begins].tolist(), strict=True):
            source = self._held(shard, name).rows
            if end - begin == 1:
                at, place = order.item(begin), places.item(begin)
                found[at : at + 1] = source[place : place + 1]
            else:
                found[order[begin:end]] = source[places[begin:end]]

    def _held(self, number: int, name: str) -> _Held:
        """A mapping that stays, for copying from."""
        held = self._mapped.get((number, name))
        if held is None:
            held = _Held.of(self.tensor(number, name), self.files[number].here())
            self._require_kind(number, name, held)
            self._mapped[number, name] = held
            if len(self._mapped) > _MAPPED:
                self._mapped.popitem(last=False)
        elif held.is_cut():
            raise StoreError(
                f"{self.files[number]} was cut off while the store was open",
                remedy=f"see what is wrong: shiftlens store verify {self.files[number].folder}",
            )
        else:
            self._mapped.move_to_end((number, name))
        return held

    def _require_kind(self, number: int, name: str, held: _Held) -> None:
        """Refuse a file whose rows are of another width or type than those that were read."""
        like = self._kinds.setdefault(name, (held.dtype, held.width))
        if (held.dtype, held.width) != like:
            raise StoreError(
                f"{self.files[number]} holds {held.dtype} of width {held.width}",
                allowed=f"{like[0]} of width {like[1]}, as in the other shards",
            )
