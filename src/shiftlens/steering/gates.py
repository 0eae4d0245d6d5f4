"""When to steer: gates decide for each sample whether an intervention applies to it.

A gate reads the state at the last prompt position, at or before the block that it guards, and its
decision holds for the whole response. A gate about a word of the response can only be decided by
looking at an unsteered response first: that is a ``TwoPassGate``, and is named so.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import SteeringError
from shiftlens.steering.whitening import Whitening

Decisions = Bool[Tensor, " b"]


class Gate(ABC):
    """Decides from one state a sample."""

    layer: int
    """The block after which the state is read."""

    @abstractmethod
    def decide(self, states: Float[Tensor, "b d"]) -> Decisions:
        """Whether each sample's intervention applies."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The gate as JSON, with what is known of its errors."""


@dataclass(frozen=True, eq=False)
class NearestConcept(Gate):
    """Open where the nearest concept is one of the chosen ones (the published gate).

    Distances are taken in whitened space where a whitening is given: in plain space the common
    covariance dominates, and such a gate hardly discriminates.

    Attributes:
        concepts: centroids, at the layer that is read.
        chosen: indices of the concepts that open the gate.
        whitening: of the states that the concepts came from.
    """

    concepts: Concepts
    chosen: frozenset[int]
    whitening: Whitening | None = None

    @staticmethod
    def of(
        concepts: Concepts, chosen: Sequence[int | str], store: ActivationStore | None = None
    ) -> "NearestConcept":
        """A gate for concepts given by index or word; ``store`` gives the whitening.

        Raises:
            GroundingError: no such concept.
            SteeringError: the concepts are no centroids, or the gate is open or closed on every row
                of the store.
        """
        if concepts.kind != "centroid":
            raise SteeringError("a nearest-concept gate needs centroids, not directions")
        indices = frozenset(concepts.find(concept) for concept in chosen)
        if store is None:
            return NearestConcept(concepts, indices)
        acts = store.states(concepts.site.layers[0]).float()
        centred = acts - concepts.vectors[concepts.assign(acts)]
        gate = NearestConcept(concepts, indices, Whitening.fit(centred))
        _require_both(gate.decide(acts), "nearest concept")
        return gate

    @property
    def layer(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The block after which the state is read."""
        return self.concepts.site.layers[0]

    def decide(self, states: Float[Tensor, "b d"]) -> Decisions:
        """Whether the nearest concept is a chosen one."""
        rows, centres = states.float(), self.concepts.vectors.to(states.device)
        if self.whitening is not None:
            rows, centres = self.whitening.apply(rows), self.whitening.apply(centres)
        nearest = torch.cdist(rows, centres).argmin(dim=1)
        wanted = torch.tensor(sorted(self.chosen), device=states.device)
        return torch.isin(nearest, wanted)

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {
            "gate": "nearest concept",
            "layer": self.layer,
            "concepts": sorted(self.chosen),
            "whitened": self.whitening is not None,
        }


@dataclass(frozen=True, eq=False)
class TwoPassGate(Gate):
    """A gate about a word of the response: decided from an unsteered pass of the same samples.

    ``steer_responses`` runs both passes. A sample whose unsteered response does not hold the word
    keeps its gate closed.

    Attributes:
        inner: decides from the state at its concepts' site.
    """

    inner: NearestConcept
    layer: int = field(init=False, default=-1)

    def decide(self, states: Float[Tensor, "b d"]) -> Decisions:
        """Decide from the states of the unsteered pass."""
        return self.inner.decide(states)

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {**self.inner.describe(), "gate": "two-pass nearest concept"}


def _require_both(decisions: Tensor, name: str) -> None:
    """A gate that never changes its mind on its own data is no gate."""
    if bool(decisions.all()) or not bool(decisions.any()):
        state = "open" if bool(decisions.all()) else "closed"
        raise SteeringError(
            f"the {name} gate is {state} on every one of its {len(decisions)} fitting rows",
            remedy="choose other concepts, or steer without a gate",
        )
