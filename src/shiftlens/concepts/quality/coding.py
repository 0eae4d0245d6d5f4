"""Codes and assignments of rows that need not fit into memory at once."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from shiftlens.concepts.encoders import Encoder
from shiftlens.concepts.rows import Rows
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors


@runtime_checkable
class Dictionary(Protocol):
    """What encodes rows: ``Concepts``, or the bare ``Learned`` of a learner."""

    @property
    def vectors(self) -> Vectors:
        """(k, d)."""
        ...

    @property
    def kind(self) -> str:
        """``centroid`` or ``direction``."""
        ...

    @property
    def encoder(self) -> Encoder:
        """How rows are encoded."""
        ...

    def assign(self, acts: Acts) -> Assignment:
        """Concept of each row (n,); -1 for none."""
        ...

    def encode(self, acts: Acts) -> Codes:
        """Codes of rows (n, k)."""
        ...


def codes_of(dictionary: Dictionary, rows: Rows) -> Codes:
    """Codes of all rows, in the order of their numbers: (n, k) float32."""
    chunks = rows.chunks()
    return _ordered([(at, dictionary.encode(x.float()).cpu()) for at, x in chunks], len(rows))


def assignments(dictionary: Dictionary, rows: Rows) -> Assignment:
    """Concept of every row, in the order of their numbers: (n,); -1 for none."""
    chunks = rows.chunks()
    return _ordered([(at, dictionary.assign(x.float()).cpu()) for at, x in chunks], len(rows))


def left_over(dictionary: Dictionary, states: Acts) -> Tensor:
    """Squared distance of each row to what its codes stand for: (m,) float64."""
    wide = states.float()
    back = dictionary.encoder.reconstruct(dictionary.encode(wide), dictionary.vectors)
    return (wide - back).double().square().sum(dim=1).cpu()


def _ordered(parts: list[tuple[Tensor, Tensor]], n: int) -> Tensor:
    if not parts:
        return torch.zeros(0, dtype=torch.long)
    found = torch.empty(n, *parts[0][1].shape[1:], dtype=parts[0][1].dtype)
    for numbers, values in parts:
        found[numbers.cpu()] = values
    return found
