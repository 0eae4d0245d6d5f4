"""How active concepts are on a state, measured against the rows that are their own.

A raw code says little: distances grow with the norm of states, codes with the length of directions,
and *some* centroid is always the nearest. So the state is set beside the concept's **own rows**:
those of a store that belong to it (Vovk et al. 2005, conformal prediction: with n own rows that did
not learn the concept, a new row of the same kind is called inactive with a chance of at most
``max(0.05, 1 / (n + 1))``).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Nearest
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.shapes import Acts, Codes

LEVEL = 0.05
"""Share of a concept's own rows that may be called inactive."""

FEWEST = 5
"""Own rows without which a concept is not calibrated."""


@dataclass(frozen=True)
class Activity:
    """One concept at one state.

    Attributes:
        concept: its index.
        distance: Euclidean distance in the concepts' space; of centroids only.
        code: the encoder's code; of directions only.
        margin: how much nearer than the best other concept, as a share of the other's distance
            (of directions: how much larger than the best other code, as a share of the larger);
            below 0 for all but the first. 0 where both are 0, and for a single concept.
        typical: median of the same distance or code over the concept's own rows.
        above: share of its own rows that are less active than this state.
        active: whether it is the concept that the state belongs to, or any direction with a
            positive code, and as active as all but ``LEVEL`` of its own rows; ``None`` where it is
            not calibrated.
    """

    concept: int
    distance: float | None
    code: float | None
    margin: float
    typical: float | None = None
    above: float | None = None
    active: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class Ranges:
    """What is usual for each concept.

    Attributes:
        own: for each concept the activations of its own rows, ascending; see ``activations``.
        rows: how many rows there were in all.
        held_out: whether these are other rows than the ones that the concepts learned from.
    """

    own: tuple[Tensor, ...]
    rows: int
    held_out: bool

    @staticmethod
    def of(concepts: Concepts, store: ActivationStore) -> "Ranges":
        """Measure the rows of a store; shard by shard.

        A row belongs to its nearest centroid or to its largest positive code. A direction that is
        the largest of hardly any row is measured against the n/k rows that have most of it.
        Rows from which a centroid was learned lie nearer to it than new rows do; as far as that
        is known (a mean of n rows), it is made good by n / (n - 1).

        Raises:
            LearnError: the store is empty, or of another width.
        """
        activities: list[Tensor] = []
        assigned: list[Tensor] = []
        for _, states in StoreRows(store, concepts.site.layers[0]).chunks():
            activities.append(activations(concepts, states.float()))
            assigned.append(concepts.assign(states.float()))
        scores, mine = torch.cat(activities), torch.cat(assigned)
        held_out = concepts.provenance.get("store") != store.fingerprint
        own = (_own(concepts, scores[:, at], mine == at, held_out) for at in range(concepts.k))
        return Ranges(tuple(own), len(mine), held_out)

    def typical(self, concept: int) -> float | None:
        """Median activation of a concept's own rows."""
        own = self.own[concept]
        return float(own.median()) if len(own) else None

    def above(self, concept: int, activation: float) -> float | None:
        """Share of a concept's own rows that are less active."""
        own = self.own[concept]
        return float((own < activation).float().mean()) if len(own) >= FEWEST else None

    def reaches(self, concept: int, activation: float) -> bool | None:
        """Whether a state is as active as all but ``LEVEL`` of a concept's own rows."""
        own = self.own[concept]
        n = len(own)
        if n < FEWEST:
            return None
        at_most = int((own <= activation).sum())
        return (1 + at_most) / (n + 1) > max(LEVEL, 1 / (n + 1))


def activations(concepts: Concepts, acts: Acts) -> Codes:
    """How active each concept is (n, k), more is more: codes, or distances with a minus sign."""
    if isinstance(concepts.encoder, Nearest):
        return -concepts.distances(acts).cpu()
    return concepts.encode(acts).float().cpu()


def activities(
    concepts: Concepts, activation: Float[Tensor, " k"], ranges: Ranges | None, most: int
) -> tuple[Activity, ...]:
    """The most active concepts at one state, the most active first.

    Args:
        concepts: all of them.
        activation: (k,) of one state, see ``activations``.
        ranges: what is usual; without it nothing is called active or inactive.
        most: how many; of directions only those with a positive code.
    """
    nearest = isinstance(concepts.encoder, Nearest)
    order = activation.argsort(descending=True, stable=True).tolist()
    wanted = [at for at in order if nearest or activation[at] > 0][:most]
    return tuple(_activity(at, activation, order, ranges, nearest=nearest) for at in wanted)


def _activity(
    at: int,
    activation: Float[Tensor, " k"],
    order: list[int],
    ranges: Ranges | None,
    *,
    nearest: bool,
) -> Activity:
    value = float(activation[at])
    rival = next((float(activation[one]) for one in order if one != at), value)
    typical = above = active = None
    if ranges is not None:
        typical, above = ranges.typical(at), ranges.above(at, value)
        active = ranges.reaches(at, value)
        if nearest and at != order[0] and active is not None:
            active = False  # a state belongs to one centroid
    if nearest:
        typical = None if typical is None else -typical
        return Activity(at, -value, None, _margin(-rival, -value, rival), typical, above, active)
    margin = _margin(value, max(rival, 0.0), max(value, rival))
    return Activity(at, None, value, margin, typical, above, active)


def _margin(more: float, less: float, of: float) -> float:
    return (more - less) / abs(of) if of else 0.0


def _own(
    concepts: Concepts, activation: Float[Tensor, " n"], mine: Tensor, held_out: bool
) -> Float[Tensor, " m"]:
    own = activation[mine]
    if isinstance(concepts.encoder, Nearest):
        n = len(own)
        # Exact for the mean of n rows: without one of them it lies that much farther from it.
        own = own * (n / (n - 1)) if n > 1 and not held_out else own
    elif len(own) < FEWEST:
        most = min(len(activation), max(FEWEST, len(activation) // concepts.k))
        own = activation[activation > 0].sort(descending=True).values[:most]
    return own.sort().values
