"""Which concept of one model is which of the other (Khayatan et al. 2025, section 3.3)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.core.errors import MismatchError
from shiftlens.core.shapes import Assignment, Vectors

Others = Float[Tensor, "other d"]
Similarity = Float[Tensor, "k other"]


def similarity(concepts: Vectors, other: Others) -> Similarity:
    """Cosine of every concept with every other one: (k, other).

    Raises:
        MismatchError: the two sides have different widths.
    """
    if concepts.shape[1] != other.shape[1]:
        raise MismatchError(
            f"concepts of width {concepts.shape[1]} cannot be matched with width {other.shape[1]}"
        )
    a = torch.nn.functional.normalize(concepts.float(), dim=1)
    b = torch.nn.functional.normalize(other.float(), dim=1)
    return a @ b.T


def nearest(concepts: Vectors, other: Others) -> list[int]:
    """For each concept the most similar other one; several may share it.

    Answers: what became of this concept?
    """
    return similarity(concepts, other).argmax(dim=1).tolist()


def bijective(concepts: Vectors, other: Others) -> list[int]:
    """For each concept a partner of its own, such that the summed similarity is largest.

    Raises:
        MismatchError: the two sides differ in number or width.
    """
    from scipy.optimize import linear_sum_assignment

    if len(concepts) != len(other):
        raise MismatchError(
            f"{len(concepts)} concepts cannot be paired one to one with {len(other)}",
            remedy="learn the same k on both sides, or use nearest",
        )
    _, partners = linear_sum_assignment(-similarity(concepts, other).cpu().numpy())
    return [int(partner) for partner in partners]


# The table of shared samples: the same rows, as they fall into two dictionaries.

Table = Float[Tensor, "k other"]
_SHARED = 0.5  # of a concept's samples: more than half makes a link


def shared(labels: Assignment, others: Assignment, k: int, other: int) -> Table:
    """How many rows belong to concept i of one side and j of the other: (k, other).

    Args:
        labels: (n,) concept of each row on one side.
        others: (n,) concept of the same rows on the other.
        k: number of concepts on the first side; ``other`` on the second, free on each.

    Raises:
        MismatchError: the two sides do not label the same rows.
    """
    if len(labels) != len(others):
        raise MismatchError(
            f"{len(labels)} rows on one side and {len(others)} on the other",
            remedy="label the rows that both models kept: paired(base, tuned)",
        )
    return torch.bincount(labels * other + others, minlength=k * other).reshape(k, other).float()


def jaccard(table: Table) -> Table:
    """Shared rows over the rows of either, for every two concepts; 0 where both are empty."""
    either = table.sum(dim=1, keepdim=True) + table.sum(dim=0, keepdim=True) - table
    return table / either.clamp_min(1)


def shared_partners(table: Table, *, fewest: float = 0.0) -> tuple[list[int | None], np.ndarray]:
    """One-to-one partners by the rows that they share; a concept may be left without one.

    Args:
        table: (k, other) shared rows; the two sides need not have as many concepts.
        fewest: smallest Jaccard overlap that makes two concepts partners; leaving both alone is
            then better than pairing them.

    Returns:
        for each concept its partner or ``None``, and the (k,) overlaps with the partners (0 where
        there is none).
    """
    from scipy.optimize import linear_sum_assignment

    overlap = jaccard(table).cpu().numpy().astype(np.float64)
    worth = np.where(overlap > max(fewest, 0.0), overlap, 0.0)
    rows, columns = linear_sum_assignment(-worth)
    partners: list[int | None] = [None] * len(overlap)
    found = np.zeros(len(overlap))
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if worth[i, j] > 0:
            partners[i], found[i] = j, overlap[i, j]
    return partners, found


def partial(concepts: Vectors, other: Others, *, fewest: float = 0.5) -> list[int | None]:
    """One-to-one partners by cosine; a concept without any similar enough is left unmatched.

    Args:
        concepts: (k, d) vectors of one side.
        other: (o, d) vectors of the other; k and o are free.
        fewest: smallest cosine that makes two concepts partners. Cosines of raw states are high
            throughout: give vectors from which the mean of their side was taken off.
    """
    from scipy.optimize import linear_sum_assignment

    table = similarity(concepts, other).cpu().numpy()
    rows, columns = linear_sum_assignment(-np.where(table >= fewest, table - fewest, 0.0))
    partners: list[int | None] = [None] * len(table)
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if table[i, j] >= fewest:
            partners[i] = j
    return partners


@dataclass(frozen=True)
class Link:
    """Two concepts that share most of the samples of at least one of them.

    Attributes:
        base, tuned: index of either.
        of_base: share of the base concept's samples that fall into the tuned one.
        of_tuned: share of the tuned concept's samples that come from the base one.
    """

    base: int
    tuned: int
    of_base: float
    of_tuned: float


def links(table: Table) -> list[Link]:
    """Every link of a shared-sample table, many to many: the unbalanced matching.

    A base concept with several links was split, a tuned one with several was merged; one without
    any has vanished, or was born.
    """
    of_base = table / table.sum(dim=1, keepdim=True).clamp_min(1)
    of_tuned = table / table.sum(dim=0, keepdim=True).clamp_min(1)
    pairs = torch.nonzero((of_base > _SHARED) | (of_tuned > _SHARED)).tolist()
    return [Link(i, j, float(of_base[i, j]), float(of_tuned[i, j])) for i, j in pairs]
