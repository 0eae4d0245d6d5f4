"""States that can be read again and again, piece by piece: in memory, or in a store on disk.

A learner sees these and nothing else: ``n`` rows of width ``d`` in chunks of bounded size, so that
the same code serves an array and a store that no memory would hold.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts

CHUNK_VALUES = 2**24
"""Numbers in a chunk at most: 64 MB in float32."""

BLOCK_VALUES = 2**22
"""Numbers in a block on the CPU: 16 MB of float32 stay in the cache while they are worked on."""

_BLOCK_ROWS = 2**13
"""Rows in a block at most, however narrow: a float32 sum over them loses few digits."""


@runtime_checkable
class Rows(Protocol):
    """Rows of states, in chunks."""

    def __len__(self) -> int:
        """How many rows."""
        ...

    @property
    def d(self) -> int:
        """Width of a row."""
        ...

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: numbers of rows (m,) int64 and their states (m, d), every row once.

        The order is the same in every pass, and need not be that of the numbers.
        """
        ...

    def take(self, numbers: np.ndarray) -> Tensor:
        """The states of some rows (m, d), in the order of their numbers as given."""
        ...


class MemoryRows:
    """Rows of an array in memory.

    Args:
        acts: (n, d), any float type; not copied and not changed.
    """

    def __init__(self, acts: Acts) -> None:
        if acts.ndim != 2:
            raise LearnError(
                f"states of shape {tuple(acts.shape)}", allowed="(n, d): one state a row"
            )
        self.acts = acts

    def __len__(self) -> int:
        return len(self.acts)

    @property
    def d(self) -> int:
        """Width of a row."""
        return self.acts.shape[1]

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See ``Rows.chunks``."""
        yield from _cut(torch.arange(len(self.acts)), self.acts)

    def take(self, numbers: np.ndarray) -> Tensor:
        """See ``Rows.take``."""
        return self.acts[torch.from_numpy(np.asarray(numbers)).to(self.acts.device)]


class StoreRows:
    """Rows of one layer of a store, read from its shards.

    Args:
        store: harvested states.
        layer: which of the store's layers; may be left out when there is one.
    """

    def __init__(self, store: ActivationStore, layer: int | None = None) -> None:
        if not len(store):
            raise LearnError("the store holds no rows", remedy="harvest samples that say the word")
        self.store, self.layer = store, store.site_at(layer).layers[0]
        self._d = next(iter(store.shards(self.layer)))[1].shape[1]

    def __len__(self) -> int:
        return len(self.store)

    @property
    def d(self) -> int:
        """Width of a row."""
        return self._d

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """See ``Rows.chunks``."""
        for numbers, states in self.store.shards(self.layer):
            yield from _cut(torch.tensor(numbers), states)

    def take(self, numbers: np.ndarray) -> Tensor:
        """See ``Rows.take``."""
        return self.store.gather(numbers, self.layer)


def rows_of(acts: Acts | Rows) -> Rows:
    """The rows of an array, or rows as they are.

    Raises:
        LearnError: neither.
    """
    if isinstance(acts, Tensor):
        return MemoryRows(acts)
    if not isinstance(acts, Rows):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _no_rows(acts)
    return acts


def _no_rows(given: object) -> LearnError:
    """The error for what holds no rows, with the way to those that it stands for."""
    remedy = ""
    if isinstance(given, ActivationStore):
        remedy = "StoreRows(store, layer) reads a store; learn(store, learner) does it for you"
    if isinstance(given, np.ndarray):
        remedy = "torch.from_numpy(states)"
    return LearnError(
        f"states are a tensor or rows, not {type(given).__name__}",
        allowed="(n, d): one state a row",
        remedy=remedy,
    )


def _cut(numbers: Tensor, states: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    step = max(1, CHUNK_VALUES // max(1, states.shape[1]))
    for start in range(0, len(states), step):
        yield numbers[start : start + step], states[start : start + step]


def blocks(n: int, d: int, device: torch.device) -> Iterator[slice]:
    """Pieces of n rows of width d that fit the cache; all rows in one on an accelerator."""
    fit = min(_BLOCK_ROWS, max(1, BLOCK_VALUES // max(1, d)))
    step = fit if device.type == "cpu" else max(1, n)
    for start in range(0, n, step):
        yield slice(start, start + step)
