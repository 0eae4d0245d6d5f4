"""The direction of each concept, and how far along it a state lies.

A centroid is a state: what makes it this concept is how it differs from the other centroids, so its
direction is the centroid less their mean. A direction is one already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Projection
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts, Codes, Vectors


@dataclass(frozen=True, eq=False)
class Axes:
    """Directions of some concepts.

    Attributes:
        numbers: which concepts.
        directions: (k, d) of unit length, float32 on the CPU.
        origin: (d,) where activations count from: the mean of the centroids, or the mean that the
            concepts' encoder takes off; zero where it takes off nothing.
    """

    numbers: tuple[int, ...]
    directions: Vectors
    origin: Float[Tensor, " d"]

    @staticmethod
    def of(concepts: Concepts, which: Sequence[int] | None = None) -> "Axes":
        """The axes of some concepts, of all by default.

        Raises:
            GroundingError: there is no such concept, none was named, or one has no direction: its
                vector is zero, or it is the only centroid, or all centroids are equal.
        """
        chosen = range(concepts.k) if which is None else [concepts.find(one) for one in which]
        numbers = tuple(chosen)
        if not numbers:
            raise GroundingError("no concept was named", allowed=f"some of 0..{concepts.k - 1}")
        vectors = concepts.vectors.detach().float().cpu()
        origin = _origin(concepts, vectors)
        own = vectors - origin if concepts.kind == "centroid" else vectors
        lengths = own.norm(dim=1, keepdim=True)
        # A difference of rounding errors is none: it would point anywhere.
        least = 1e-6 * vectors.norm(dim=1).max()
        for number in numbers:
            if not float(lengths[number]) > float(least):
                raise _without(concepts, number)
        return Axes(numbers, (own / lengths.clamp_min(1e-30))[list(numbers)], origin)

    def activations(self, states: Acts) -> Codes:
        """How far states (n, d) lie along each direction, from the origin: (n, k)."""
        return (states.float().cpu() - self.origin) @ self.directions.T


def _origin(concepts: Concepts, vectors: Vectors) -> Float[Tensor, " d"]:
    if concepts.kind == "centroid":
        return vectors.mean(dim=0)
    encoder = concepts.encoder
    if isinstance(encoder, Projection) and encoder.mean is not None:
        return encoder.mean.float().cpu()
    return torch.zeros(concepts.d)


def _without(concepts: Concepts, number: int) -> GroundingError:
    if concepts.kind == "centroid":
        return GroundingError(
            f"centroid {number} does not differ from the mean of the {concepts.k} centroids",
            allowed="at least two different centroids: a direction is what tells one from the rest",
            remedy="learn more concepts, or learn directions",
        )
    return GroundingError(
        f"the vector of concept {number} is zero, and so has no direction",
        remedy="leave it out, or learn fewer concepts",
    )
