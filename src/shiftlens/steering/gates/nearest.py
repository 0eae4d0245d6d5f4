"""Open where the nearest concept is one of the chosen ones (the published gate)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Nearest
from shiftlens.core.errors import SteeringError
from shiftlens.steering.gates.gate import Decisions, StateGate, require_both
from shiftlens.steering.whitening import Whitening


@dataclass(frozen=True, eq=False)
class NearestConcept(StateGate):
    """Open where the nearest concept is one of the chosen ones.

    Distances are taken in whitened space where a whitening is given: in plain space the common
    covariance dominates, and such a gate hardly discriminates.

    Attributes:
        concepts: centroids, at the layer that is read.
        chosen: indices of the concepts that open the gate.
        whitening: of the states that the concepts came from.
        every_step: decide again for every position that emits a token.
    """

    concepts: Concepts
    chosen: frozenset[int]
    whitening: Whitening | None = None
    every_step: bool = False

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
        require_both(gate.opens(acts), "nearest concept")
        return gate

    @property
    def layer(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The block after which the state is read."""
        return self.concepts.site.layers[0]

    def opens(self, states: Float[Tensor, "m d"]) -> Decisions:
        """Whether the nearest concept is a chosen one."""
        rows, centres = states.float(), self.concepts.vectors.to(states.device)
        if self.whitening is None:
            nearest = self.concepts.assign(rows)
        else:
            rows, centres = self.whitening.apply(rows), self.whitening.apply(centres)
            nearest = Nearest().assign(rows, centres)
        wanted = torch.tensor(sorted(self.chosen), device=states.device)
        return torch.isin(nearest, wanted)

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {
            "gate": "nearest concept",
            "layer": self.layer,
            "concepts": sorted(self.chosen),
            "whitened": self.whitening is not None,
            "every_step": self.every_step,
        }
