"""A gate that is decided from an unsteered pass over the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from shiftlens.activations.selections.response import LastPrompt
from shiftlens.activations.selections.selection import Selection
from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.steering.gates.active import Active
from shiftlens.steering.gates.gate import Gate, Leaf, StateGate
from shiftlens.steering.gates.nearest import NearestConcept


@dataclass(frozen=True, eq=False)
class TwoPassGate(Gate):
    """A gate that may read behind what it guards: it is decided from an unsteered pass.

    ``steer_responses`` runs both passes. A sample whose unsteered response does not hold what is
    read keeps its gate closed.

    Attributes:
        inner: decides from one state.
        tokens: where that state is taken; by default where its concepts came from, or the last
            prompt position.
    """

    inner: StateGate
    tokens: Selection | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inner, StateGate):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SteeringError(
                "a two-pass gate decides from one state, and this gate does not",
                allowed="a probe, or a gate about concepts; not a combination of gates",
            )

    @property
    def selection(self) -> Selection:
        """Where the state is taken that decides."""
        if self.tokens is not None:
            return self.tokens
        inner = self.inner
        return (
            inner.concepts.site.tokens
            if isinstance(inner, NearestConcept | Active)
            else LastPrompt()
        )

    @property
    def layer(self) -> int:
        """The block after which the state is read.

        Raises:
            SteeringError: the inner gate reads no block.
        """
        if self.inner.layer is None:
            raise SteeringError("a two-pass gate needs an inner gate that reads a block")
        return self.inner.layer

    def bound(self, model: Model) -> "TwoPassGate":
        """The gate with what its inner gate needs of a model."""
        inner = self.inner.bound(model)
        same = inner is self.inner or not isinstance(inner, StateGate)
        return self if same else replace(self, inner=inner)

    def leaves(self) -> tuple[Leaf, ...]:
        """None: nothing is read while it steers."""
        return ()

    def combine(self, decided: Mapping[Leaf, Tensor]) -> Tensor:  # noqa: ARG002
        """It has nothing to decide with.

        Raises:
            SteeringError: always; its decisions are given.
        """
        raise SteeringError(
            "a two-pass gate needs an unsteered response before it can decide",
            remedy="use steer_responses(model, samples, ...), which runs both passes",
        )

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        inner = self.inner.describe()
        tokens = self.selection.describe()
        return {**inner, "gate": f"two-pass {inner['gate']}", "tokens": tokens}
