"""The files of states of a store: mapped, never read whole; single rows come from where they lie.

``safetensors`` maps a file privately: a tensor of it is a view, whose pages the system drops when
it needs the room, and what is written into it stays in this process.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from shiftlens.core.errors import StoreError

Numbers = NDArray[np.int64]
"""Numbers of rows."""

_MAPPED = 4096  # files that stay mapped; a process may have 65,530 mappings on Linux
_FEW = 8  # rows a file, below which they are copied one by one


class Shards:
    """The files of a store that hold rows, in order.

    Args:
        files: each file with the number of its rows.
    """

    def __init__(self, files: Sequence[tuple[Path, int]]) -> None:
        kept = [(path, n) for path, n in files if n]
        self.paths = [path for path, _ in kept]
        self.starts: Numbers = np.cumsum([0, *(n for _, n in kept)], dtype=np.int64)
        self._mapped: OrderedDict[tuple[int, str], Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self.paths)

    def tensor(self, number: int, name: str) -> Tensor:
        """One tensor of one file (m, d), mapped anew: what is written into it nobody else sees.

        Raises:
            StoreError: the file is missing or damaged, or has not the rows that it should have.
        """
        path = self.paths[number]
        try:
            with safe_open(path, framework="pt") as shard:
                states = shard.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{path} is missing or damaged ({error})") from error
        n = int(self.starts[number + 1] - self.starts[number])
        if states.ndim != 2 or len(states) != n:
            raise StoreError(
                f"{path} is damaged: {name} has the shape {tuple(states.shape)}",
                allowed=f"({n}, width): as many rows as the manifest says",
            )
        return states

    def gather(self, rows: Numbers, name: str) -> Tensor:
        """Some rows (m, d) in the order given, copied; no file is read whole.

        Raises:
            StoreError: there are no rows, or a file is missing or damaged.
        """
        if not self.paths:
            raise StoreError("a store without rows has none to give")
        shards = np.searchsorted(self.starts, rows, side="right") - 1
        places = rows - self.starts[shards]
        like = self._held(int(shards[0]) if len(rows) else 0, name)
        found = torch.empty(len(rows), like.shape[1], dtype=like.dtype)
        target = _bytes(found)
        if len(rows) < _FEW * len(self.paths):
            for at, (shard, place) in enumerate(zip(shards.tolist(), places.tolist(), strict=True)):
                target[at] = self._held_bytes(shard, name, like)[place]
            return found
        order = np.argsort(shards, kind="stable")
        cuts = np.flatnonzero(np.diff(shards[order])) + 1
        for chosen in np.split(order, cuts):
            source = self._held_bytes(int(shards[chosen[0]]), name, like)
            target[chosen] = source[places[chosen]]
        return found

    def _held(self, number: int, name: str) -> Tensor:
        """A mapping that stays, for copying from."""
        key = number, name
        if key not in self._mapped:
            self._mapped[key] = self.tensor(number, name)
            if len(self._mapped) > _MAPPED:
                self._mapped.popitem(last=False)
        self._mapped.move_to_end(key)
        return self._mapped[key]

    def _held_bytes(self, number: int, name: str, like: Tensor) -> NDArray[np.uint8]:
        states = self._held(number, name)
        if states.dtype != like.dtype or states.shape[1] != like.shape[1]:
            raise StoreError(
                f"{self.paths[number]} holds {states.dtype} of width {states.shape[1]}",
                allowed=f"{like.dtype} of width {like.shape[1]}, as in the other shards",
            )
        return _bytes(states)


def _bytes(states: Tensor) -> NDArray[np.uint8]:
    """The bytes of each row: NumPy copies single rows faster, but knows no bfloat16."""
    return states.view(torch.uint8).numpy()
