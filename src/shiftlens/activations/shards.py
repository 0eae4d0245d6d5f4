"""The files of states of a store: mapped, never read whole; single rows come from where they lie.

``safetensors`` maps a file privately: a tensor of it is a view, whose pages the system drops when
it needs the room, and what is written into it stays in this process.
"""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from shiftlens.core.errors import StoreError
from shiftlens.core.places import Kept

Numbers = NDArray[np.int64]
"""Numbers of rows."""

_MAPPED = 4096  # files that stay mapped; a process may have 65,530 mappings on Linux
_LONG = 8  # rows in a run, from which on runs are copied rather than rows


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
        self._mapped: OrderedDict[tuple[int, str], Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def tensor(self, number: int, name: str) -> Tensor:
        """One tensor of one file (m, d), mapped anew: what is written into it nobody else sees.

        Raises:
            StoreError: the file is missing or damaged, or has not the rows that it should have.
        """
        file = self.files[number]
        try:
            with safe_open(file.here(), framework="pt") as shard:
                states = shard.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise StoreError(f"{file} is missing or damaged ({error})") from error
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
            return torch.empty(0, like.shape[1], dtype=like.dtype)
        # NumPy asks for large pages where torch does not: half the time goes into small ones.
        found = np.empty((len(rows), like.shape[1] * like.itemsize), np.uint8)
        runs = np.flatnonzero((np.diff(shards) != 0) | (np.diff(places) != 1)) + 1
        if len(runs) * _LONG < len(rows):
            self._copy_runs(found, shards, places, [0, *runs.tolist()], name, like)
        else:
            self._copy_by_file(found, shards, places, name, like)
        return torch.from_numpy(found).view(like.dtype)

    def _copy_runs(
        self,
        found: NDArray[np.uint8],
        shards: Numbers,
        places: Numbers,
        begins: list[int],
        name: str,
        like: Tensor,
    ) -> None:
        """Rows that lie together and are wanted together, each run in one piece."""
        first = zip(shards[begins].tolist(), places[begins].tolist(), strict=True)
        ends = [*begins[1:], len(found)]
        for begin, end, (shard, place) in zip(begins, ends, first, strict=True):
            source = self._held_bytes(shard, name, like)
            found[begin:end] = source[place : place + end - begin]

    def _copy_by_file(
        self,
        found: NDArray[np.uint8],
        shards: Numbers,
        places: Numbers,
        name: str,
        like: Tensor,
    ) -> None:
        """All rows of a file at once, each as one piece of memory."""
        piece = np.dtype((np.void, found.shape[1]))
        target = found.view(piece)[:, 0]
        order = np.argsort(shards, kind="stable")
        cuts = np.flatnonzero(np.diff(shards[order])) + 1
        for chosen in np.split(order, cuts):
            source = self._held_bytes(int(shards[chosen[0]]), name, like).view(piece)[:, 0]
            target[chosen] = source[places[chosen]]

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
                f"{self.files[number]} holds {states.dtype} of width {states.shape[1]}",
                allowed=f"{like.dtype} of width {like.shape[1]}, as in the other shards",
            )
        return states.view(torch.uint8).numpy()  # NumPy knows no bfloat16
