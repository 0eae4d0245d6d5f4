"""What is done to a state: operators are closed form and keep no state of their own.

Strength 1 is the whole of what an operator does and 0 nothing at all, for each of them. What needs
more than one direction (LEACE, the affine switch) is an ``AffineEdit`` and brings its own map.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SteeringError


class Operator(ABC):
    """Turns states into steered states."""

    name: str
    """For receipts and the command line."""

    def apply(
        self, states: Float[Tensor, "... d"], direction: Float[Tensor, " d"], strength: float
    ) -> Float[Tensor, "... d"]:
        """Steered copies of the states; the input is not changed, each row is treated by itself.

        Computed in float32 or better and returned in the states' type; at strength 0 the states
        themselves come back.
        """
        if strength == 0:
            return states
        wide = torch.promote_types(states.dtype, torch.float32)
        changed = self._change(states.to(wide), direction.to(states.device, wide), strength)
        return changed.to(states.dtype)

    @abstractmethod
    def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
        """The same in a wide type, with a strength that is not 0."""


@dataclass(frozen=True)
class Add(Operator):
    """h + strength * s (Khayatan et al. 2025, section 3.4)."""

    name = "add"

    def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
        return torch.add(states, direction, alpha=strength)


@dataclass(frozen=True)
class AddKeepingNorm(Operator):
    """h + strength * s, brought back to the length that h had.

    A state that the vector cancels exactly has no direction left, and stays as it was.
    """

    name = "add-keeping-norm"

    def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
        added = torch.add(states, direction, alpha=strength)
        before, after = states.norm(dim=-1, keepdim=True), added.norm(dim=-1, keepdim=True)
        tiny = torch.finfo(states.dtype).eps * before
        return torch.where(after > tiny, added * (before / after.clamp_min(1e-30)), states)


@dataclass(frozen=True)
class Ablate(Operator):
    """Project the direction out: h - strength * (h . s) s / |s|^2.

    Strength 1 leaves nothing along the direction, 2 reflects it. The length of the vector does not
    count. Where states lie far from the origin, most of what is taken away is their common part:
    LEACE takes away what tells samples apart, and less of everything else.
    """

    name = "ablate"

    def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
        unit = direction / direction.norm()
        return states - strength * (states @ unit)[..., None] * unit


@dataclass(frozen=True)
class MoveTo(Operator):
    """Move the projection on the direction to a target: h + strength * (target - h . u) u, |u| = 1.

    Unlike addition it cannot overshoot, whatever the state was.

    Attributes:
        target: wanted projection on the unit direction, in the units of the states.
    """

    target: float
    name = "move-to"

    def __post_init__(self) -> None:
        if not math.isfinite(self.target):
            raise SteeringError(f"the target projection {self.target} is not a finite number")

    @staticmethod
    def mean_of(store: ActivationStore, vector: SteeringVector) -> "MoveTo":
        """The mean projection of a store's rows: move every state to where these are.

        Raises:
            MismatchError: the store does not hold the vector's layer or has another width.
        """
        if vector.layer not in store.site.layers:
            raise MismatchError(
                f"the store holds layers {store.site.layers}, the vector lives at {vector.layer}"
            )
        states = store.states(vector.layer).double()
        if states.shape[1] != len(vector.direction):
            raise MismatchError(
                f"states of width {states.shape[1]} and a vector of {len(vector.direction)} entries"
            )
        unit = vector.direction.double() / vector.direction.double().norm()
        return MoveTo(float((states @ unit).mean()))

    def _change(self, states: Tensor, direction: Tensor, strength: float) -> Tensor:
        unit = direction / direction.norm()
        return states + strength * (self.target - states @ unit)[..., None] * unit


OPERATORS: dict[str, type[Operator]] = {
    one.name: one for one in (Add, AddKeepingNorm, Ablate, MoveTo)
}
"""Operators by the names that receipts and the command line use."""


def read_operator(name: str) -> Operator:
    """The operator of a name; ``move-to:2.5`` has the target 2.5.

    Raises:
        SteeringError: an unknown name, or a target that is missing or cannot be read.
    """
    head, _, rest = name.partition(":")
    if head not in OPERATORS:
        raise SteeringError(
            f"unknown operator {name!r}", allowed="add, add-keeping-norm, ablate, move-to:TARGET"
        )
    if head != MoveTo.name:
        if rest:
            raise SteeringError(f"the operator {head} takes no value, but {rest!r} was given")
        return OPERATORS[head]()
    try:
        target = float(rest)
    except ValueError as error:
        raise SteeringError(
            f"the operator {name!r} needs a target projection", allowed="move-to:2.5"
        ) from error
    return MoveTo(target)
