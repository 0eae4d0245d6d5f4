"""Rows that activate each concept most, no picture twice, read chunk by chunk."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shiftlens.concepts.encoders import Nearest
from shiftlens.concepts.quality.coding import Dictionary
from shiftlens.concepts.rows import Rows
from shiftlens.core.errors import LearnError


def top_rows(
    concepts: Dictionary, rows: Rows, *, n: int = 5, pictures: Sequence[object] | None = None
) -> list[list[int]]:
    """Numbers of the n rows that activate each concept most, best first.

    For centroids the nearest of the concept's own rows, for directions the largest positive codes;
    a concept that has fewer gives fewer. Equals keep the order of their numbers.

    Args:
        concepts: of the rows' site.
        rows: the states.
        n: how many a concept.
        pictures: one a row; of several rows of one picture only the best is listed.

    Raises:
        LearnError: another number of pictures than rows.
    """
    if pictures is not None and len(pictures) != len(rows):
        raise LearnError(f"{len(rows)} rows with {len(pictures)} pictures", allowed="one a row")
    best: list[list[tuple[float, int]]] = [[] for _ in range(len(concepts.vectors))]
    for numbers, states in rows.chunks():
        scores = _scores(concepts, states.float()).cpu()
        for concept in range(len(concepts.vectors)):
            found = _first(scores[:, concept], numbers, n, pictures)
            best[concept] = _merged([*best[concept], *found], n, pictures)
    return [[row for _, row in one] for one in best]


def _scores(concepts: Dictionary, states: Tensor) -> Tensor:
    """(m, k) how much each row activates each concept; minus infinity where it does not."""
    if isinstance(concepts.encoder, Nearest):
        distances = concepts.encoder.distances(states, concepts.vectors)
        own = concepts.encoder.encode(states, concepts.vectors) > 0
        return torch.where(own, -distances, -torch.inf)
    codes = concepts.encode(states)
    return torch.where(codes > 0, codes, -torch.inf)


def _first(
    scores: Tensor, numbers: Tensor, n: int, pictures: Sequence[object] | None
) -> list[tuple[float, int]]:
    kept: dict[object, tuple[float, int]] = {}
    for place in scores.argsort(descending=True, stable=True).tolist():
        if len(kept) == n or scores[place] == -torch.inf:
            break
        row = int(numbers[place])
        kept.setdefault(row if pictures is None else pictures[row], (float(scores[place]), row))
    return list(kept.values())


def _merged(
    found: list[tuple[float, int]], n: int, pictures: Sequence[object] | None
) -> list[tuple[float, int]]:
    kept: dict[object, tuple[float, int]] = {}
    for score, row in sorted(found, key=lambda one: (-one[0], one[1])):
        kept.setdefault(row if pictures is None else pictures[row], (score, row))
    return list(kept.values())[:n]
