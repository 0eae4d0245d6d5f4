"""What is done to a state: operators are closed form and keep no state of their own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


class Operator(ABC):
    """Turns states into steered states."""

    @abstractmethod
    def apply(
        self, states: Float[Tensor, "n d"], direction: Float[Tensor, " d"], strength: float
    ) -> Float[Tensor, "n d"]:
        """Steered copies of the states; the input is not changed."""


@dataclass(frozen=True)
class Add(Operator):
    """h + strength * s (Khayatan et al. 2025, section 3.4)."""

    def apply(
        self, states: Float[Tensor, "n d"], direction: Float[Tensor, " d"], strength: float
    ) -> Float[Tensor, "n d"]:
        """Add the vector, summed in float32 or better and returned in the states' type."""
        wide = torch.promote_types(states.dtype, torch.float32)
        return (states.to(wide) + strength * direction.to(wide)).to(states.dtype)
