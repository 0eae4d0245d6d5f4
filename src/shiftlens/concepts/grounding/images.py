"""Most activating images of a concept, found shard by shard."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.concepts.concepts import Concepts, WordLists
from shiftlens.concepts.encoders import Nearest
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts, Codes


def top_images(
    concepts: Concepts, store: ActivationStore, *, n: int = 5, layer: int | None = None
) -> WordLists:
    """Ids of the n samples that activate each concept most, no image twice, best first.

    For centroids these are the nearest of the concept's own rows, for directions the rows with the
    largest positive codes: a row on which a concept is not active is never listed. An image counts
    with its best row; of equal ones the first row of the store comes first. The states are read
    chunk by chunk and need not fit into memory.

    Args:
        concepts: of the store's site.
        store: where the samples' states are.
        n: how many a concept; fewer, down to none, where a concept has fewer.
        layer: which of the store's layers; may be left out when there is one.

    Raises:
        GroundingError: ``n`` is below 1, or a state is not finite.
        LearnError: the store has no rows, or rows of another width.
        SiteError: the store does not hold that layer.
    """
    if n < 1:
        raise GroundingError(f"cannot list {n} images", allowed="n from 1 up")
    best = [_Best(n) for _ in range(concepts.k)]
    rows = store.rows
    for numbers, states in StoreRows(store, layer).chunks():
        order = numbers.argsort()
        _require_finite(states, numbers)
        scores = _scores(concepts, states[order].float())
        for k, one in enumerate(best):
            one.take(numbers[order], scores[:, k], rows)
    return tuple(one.ids() for one in best)


def _scores(concepts: Concepts, states: Acts) -> Codes:
    """(n, k): the larger, the more active; minus infinity where a concept is not active."""
    if isinstance(concepts.encoder, Nearest):
        distances = concepts.distances(states)
        own = concepts.encode(states) > 0
        return torch.where(own, -distances, -torch.inf)
    codes = concepts.encode(states)
    return torch.where(codes > 0, codes, -torch.inf)


def _require_finite(states: Acts, numbers: Tensor) -> None:
    broken = ~torch.isfinite(states).all(dim=1)
    if bool(broken.any()):
        raise GroundingError(
            f"the state of row {int(numbers[broken].min())} is not finite",
            remedy="harvest again in a wider type (float32), or leave such samples out",
        )


@dataclass
class _Best:
    """The best rows of one concept so far, one for each image.

    Attributes:
        n: how many are wanted.
        kept: image to score, number of the row, and id of its sample.
    """

    n: int
    kept: dict[str, tuple[float, int, str]] = field(
        default_factory=dict[str, tuple[float, int, str]]
    )

    def take(self, numbers: Tensor, scores: Tensor, rows: list[Row]) -> None:
        """Look at some rows, their numbers rising."""
        order = scores.argsort(descending=True, stable=True)
        active = order[: int((scores > -torch.inf).sum())]
        met: set[str] = set()
        for at in active.tolist():
            row = rows[int(numbers[at])]
            image = row.image or row.sample_id
            found = (float(scores[at]), int(numbers[at]), row.sample_id)
            if image not in self.kept or _place(found) < _place(self.kept[image]):
                self.kept[image] = found
            met.add(image)
            if len(met) == self.n:
                break  # n images of this chunk come before all the rest of it
        self.kept = dict(self._sorted()[: self.n])

    def ids(self) -> tuple[str, ...]:
        """Ids of the samples, best first."""
        return tuple(one[2] for _, one in self._sorted())

    def _sorted(self) -> list[tuple[str, tuple[float, int, str]]]:
        return sorted(self.kept.items(), key=lambda item: _place(item[1]))


def _place(found: tuple[float, int, str]) -> tuple[float, int]:
    """What comes first is smaller: larger scores, then earlier rows."""
    return -found[0], found[1]
