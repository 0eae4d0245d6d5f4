"""Open where a concept is active: its code, or the cosine with it, above a threshold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.concepts.concepts import Concepts
from shiftlens.core.errors import SteeringError
from shiftlens.steering.gates.fitting import (
    HeldOut,
    choose_threshold,
    require_change,
    require_classes,
)
from shiftlens.steering.gates.gate import Decisions, StateGate


@dataclass(frozen=True, eq=False)
class Active(StateGate):
    """Open where a concept's code, or the cosine with its vector, exceeds a threshold.

    Attributes:
        concepts: at the layer that is read.
        concept: index of the one that is meant.
        threshold: in units of the measure.
        measure: ``code``, of the concepts' own kind (a projection; centroids have 0 or 1), or
            ``cosine`` of the state, less ``centre``, with the concept's vector, less ``centre``.
        centre: (d,) what is taken off before a cosine; states lie far from the origin, where all
            cosines are alike.
        held_out: what the threshold does on the rows that it was chosen on.
        every_step: decide again for every position that emits a token.
    """

    concepts: Concepts
    concept: int
    threshold: float
    measure: str = "cosine"
    centre: Float[Tensor, " d"] | None = None
    held_out: HeldOut | None = None
    every_step: bool = False

    def __post_init__(self) -> None:
        if self.measure not in ("code", "cosine"):
            raise SteeringError(
                f"unknown measure {self.measure!r} of activity", allowed="code, cosine"
            )

    @staticmethod
    def fit(
        concepts: Concepts,
        concept: int | str,
        store: ActivationStore,
        positive: Callable[[Row], bool] | Sequence[bool],
        *,
        measure: str = "cosine",
    ) -> "Active":
        """Choose the threshold on rows that the concepts were not learned from.

        Args:
            concepts: at a layer that the store holds.
            concept: by index or word.
            store: held-out states.
            positive: the rows for which the gate should open.
            measure: ``code`` or ``cosine``.

        Raises:
            GroundingError: no such concept.
            SteeringError: too few rows of a class, or a gate that is constant on its rows.
        """
        acts = store.states(concepts.site.layers[0]).float()
        centre = acts.mean(dim=0) if measure == "cosine" else None
        gate = Active(concepts, concepts.find(concept), 0.0, measure, centre)
        flags = [positive(row) for row in store.rows] if callable(positive) else list(positive)
        require_classes(np.array(flags, dtype=bool))
        scores = gate.scores(acts)
        threshold, held_out = choose_threshold(scores, flags)
        require_change((scores > threshold).cpu().numpy())
        return Active(concepts, gate.concept, threshold, measure, centre, held_out)

    @property
    def layer(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The block after which the state is read."""
        return self.concepts.site.layers[0]

    def scores(self, states: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """What is held against the threshold."""
        if self.measure == "code":
            return self.concepts.encode(states.float().cpu())[:, self.concept].to(states.device)
        rows, vector = states.float(), self.concepts.vectors[self.concept].to(states.device)
        if self.centre is not None:
            rows = rows - self.centre.to(rows)
            # A direction already is a difference: only states are centred.
            if self.concepts.kind == "centroid":
                vector = vector - self.centre.to(vector)
        return torch.nn.functional.cosine_similarity(rows, vector[None], dim=1)

    def opens(self, states: Float[Tensor, "m d"]) -> Decisions:
        """Whether the concept is active in each state."""
        return self.scores(states) > self.threshold

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {
            "gate": f"concept active ({self.measure})",
            "layer": self.layer,
            "concept": self.concept,
            "threshold": self.threshold,
            "held_out": self.held_out and self.held_out.to_dict(),
            "every_step": self.every_step,
        }
