"""``Space``: the coordinates that a learner works in, and the way back to the residual stream.

Residual streams have a few dimensions that are far larger than all others; they carry the squared
distances, and concepts that are learned there tell little else apart. The remedies are the field's:
rows of unit length, dimensions of unit variance, or whitening.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts, Vectors

SPACES = ("raw", "centred", "unit", "standard", "white")


@dataclass(frozen=True, eq=False)
class Space:
    """Where distances are taken: ``z = ((x or x / norm(x)) - mean) @ map``.

    Attributes:
        name: ``raw`` (the residual stream itself), ``centred``, ``unit`` (rows of length one),
            ``standard`` (each dimension of unit variance), or ``white`` (no correlation either).
        mean: (d,) what is taken off; ``None`` where nothing is.
        scale: (d,) what each dimension is multiplied by after that, for ``standard``.
        whitening: (d, d) the map for ``white``.
        colouring: (d, d) its inverse.
    """

    name: str = "raw"
    mean: Float[Tensor, " d"] | None = None
    scale: Float[Tensor, " d"] | None = None
    whitening: Float[Tensor, "d d"] | None = None
    colouring: Float[Tensor, "d d"] | None = None

    def into(self, acts: Acts, dtype: torch.dtype = torch.float32) -> Acts:
        """States in this space.

        In ``white`` a state's last digits depend on the states beside it, and where rows are few
        these digits are large: float64 where a state must be the same alone.
        """
        states = acts.to(dtype)
        if self.name == "unit":
            return normalize(states, dim=1)
        if self.mean is not None:
            states = states - self.mean.to(states)
        return self.directions_into(states)

    def out_of(self, points: Acts) -> Acts:
        """Points of this space as states; those of ``unit`` keep length one."""
        states = self.directions_out_of(points)
        return states if self.mean is None else states + self.mean.to(states)

    def directions_into(self, directions: Vectors) -> Vectors:
        """Differences of states in this space, in the type of the directions."""
        if self.scale is not None:
            return directions * self.scale.to(directions)
        if self.whitening is not None:
            return directions @ self.whitening.to(directions)
        return directions

    def directions_out_of(self, directions: Vectors) -> Vectors:
        """Differences of points of this space as differences of states."""
        if self.scale is not None:
            return directions / self.scale.to(directions)
        if self.colouring is not None:
            return directions @ self.colouring.to(directions)
        return directions

    def tensors(self) -> dict[str, Tensor]:
        """What ``restored`` needs beside the name."""
        parts = {
            "mean": self.mean,
            "scale": self.scale,
            "whitening": self.whitening,
            "colouring": self.colouring,
        }
        return {name: tensor for name, tensor in parts.items() if tensor is not None}

    def cpu(self) -> "Space":
        """The same space with its tensors on the CPU."""
        return Space(self.name, **{name: one.cpu() for name, one in self.tensors().items()})

    @classmethod
    def restored(cls, name: str, tensors: Mapping[str, Any]) -> "Space":
        """The space that ``tensors`` described.

        Raises:
            LearnError: an unknown name.
        """
        require_space(name)
        return cls(name, **tensors)


RAW = Space()


def require_space(name: str) -> None:
    """One clear error for a space that does not exist."""
    if name not in SPACES:
        raise LearnError(f"there is no space {name!r}", allowed=", ".join(SPACES))


def require_variance(scale: Tensor) -> Tensor:
    """Guard for dimensions that never vary: they are left as they are, not divided by zero."""
    return torch.where(scale > 0, scale, torch.ones_like(scale))
