"""How new rows are encoded: the second half of a learner, kept with the concepts that it learned.

acts (n, d), vectors (k, d) in the residual stream's coordinates, codes (n, k).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from shiftlens.concepts.nearest import distances_to, nearest
from shiftlens.concepts.rows import blocks
from shiftlens.concepts.space import RAW, Space
from shiftlens.core.errors import LearnError, StoreError
from shiftlens.core.registry import Registry
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors

NO_CONCEPT = -1
"""What a row is assigned to that no concept is active on."""

encoders: Registry[type["Encoder"]] = Registry("encoder")

# Where encoders live that are not registered by this module: imported when a file names them.
_HOMES = {
    "nonnegative": "shiftlens.concepts.nonnegative",
    "sae": "shiftlens.concepts.sae.encoder",
}


@dataclass(frozen=True, eq=False)
class Encoder(ABC):
    """Codes of rows, given the concepts; a row's codes do not depend on the rows beside it.

    Attributes:
        space: the coordinates in which it works; vectors are given in the residual stream's.
    """

    name: ClassVar[str]
    space: Space = field(default=RAW, kw_only=True)

    @abstractmethod
    def encode(self, acts: Acts, vectors: Vectors) -> Codes:
        """Codes (n, k), float32, on the device of ``acts``."""

    @abstractmethod
    def reconstruct(self, codes: Codes, vectors: Vectors) -> Acts:
        """States (n, d) that the codes stand for, in the residual stream's coordinates."""

    def assign(self, acts: Acts, vectors: Vectors) -> Assignment:
        """Concept of each row: the largest positive code, or ``NO_CONCEPT`` where there is none."""
        best = self.encode(acts, vectors).max(dim=1)
        return torch.where(best.values > 0, best.indices, NO_CONCEPT)

    def settings(self) -> dict[str, Any]:
        """Options as JSON, without the space."""
        return {}

    def own_tensors(self) -> dict[str, Tensor]:
        """Tensors beside the vectors, without the space's."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that ``restored`` needs."""
        space = {f"space.{name}": tensor for name, tensor in self.space.tensors().items()}
        return {**self.own_tensors(), **space}

    def describe(self) -> dict[str, Any]:
        """JSON that ``restored`` needs."""
        return {"name": self.name, "space": self.space.name, **self.settings()}


def restored(described: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Encoder:
    """The encoder that ``describe`` and ``tensors`` told of.

    Raises:
        StoreError: an encoder of this name, with these parts, does not exist.
    """
    settings = dict(described)
    name = settings.pop("name")
    if name in _HOMES:
        import_module(_HOMES[name])
    kind = encoders.get(name)
    inside = {key[6:]: value for key, value in tensors.items() if key.startswith("space.")}
    own = {key: value for key, value in tensors.items() if not key.startswith("space.")}
    space = Space.restored(settings.pop("space", "raw"), inside)
    try:
        return kind(**settings, **own, space=space)
    except TypeError as error:
        raise StoreError(
            f"the encoder {described.get('name')!r} cannot be read ({error})"
        ) from error


@encoders.register("nearest")
@dataclass(frozen=True, eq=False)
class Nearest(Encoder):
    """One-hot codes: the nearest centroid, by Euclidean distance in the space."""

    name: ClassVar[str] = "nearest"

    def distances(self, acts: Acts, vectors: Vectors) -> Codes:
        """Euclidean distance of each row to each centroid."""
        return distances_to(self._points(acts), self._points(vectors.to(acts.device)))

    def assign(self, acts: Acts, vectors: Vectors) -> Assignment:
        """Index of the nearest centroid; of equally near ones the first."""
        centres = self._points(vectors.to(acts.device))
        labels = torch.empty(len(acts), dtype=torch.long, device=acts.device)
        for part in blocks(len(acts), acts.shape[1], acts.device):
            labels[part] = nearest(self._points(acts[part]), centres)
        return labels

    def _points(self, acts: Acts) -> Acts:
        """Rows in the space, the same alone as among others: equal ones stay equal."""
        if self.space.name == "white":
            return self.space.into(acts, torch.float64).float()
        return self.space.into(acts)

    def encode(self, acts: Acts, vectors: Vectors) -> Codes:
        """See ``Encoder.encode``."""
        return one_hot(self.assign(acts, vectors), len(vectors)).float()

    def reconstruct(self, codes: Codes, vectors: Vectors) -> Acts:
        """See ``Encoder.reconstruct``."""
        return codes @ vectors.to(codes.device)


@encoders.register("projection")
@dataclass(frozen=True, eq=False)
class Projection(Encoder):
    """Signed codes: scalar products with the directions in the space, taken as of unit length.

    Attributes:
        mean: (d,) taken off first, a point of the space; ``None`` where nothing is.
        scale: (k,) what the codes are multiplied by; ``None`` for 1.
    """

    name: ClassVar[str] = "projection"
    mean: Float[Tensor, " d"] | None = None
    scale: Float[Tensor, " k"] | None = None

    def encode(self, acts: Acts, vectors: Vectors) -> Codes:
        """See ``Encoder.encode``."""
        states = self.space.into(acts)
        if self.mean is not None:
            states = states - self.mean.to(states.device)
        codes = states @ self._directions(vectors.to(states.device)).T
        return codes if self.scale is None else codes * self.scale.to(codes.device)

    def reconstruct(self, codes: Codes, vectors: Vectors) -> Acts:
        """See ``Encoder.reconstruct``; the least-squares one only where vectors are orthogonal."""
        plain = codes if self.scale is None else codes / self.scale.to(codes.device)
        states = plain @ self._directions(vectors.to(codes.device))
        return self.space.out_of(states if self.mean is None else states + self.mean.to(states))

    def _directions(self, vectors: Vectors) -> Vectors:
        return normalize(self.space.directions_into(vectors), dim=1)

    def own_tensors(self) -> dict[str, Tensor]:
        """See ``Encoder.own_tensors``."""
        parts = {"mean": self.mean, "scale": self.scale}
        return {name: tensor for name, tensor in parts.items() if tensor is not None}


def require_finite(acts: Tensor) -> None:
    """Refuse rows that hold what is no number: they are near to nothing, and would look as if.

    Raises:
        LearnError: says how many.
    """
    if bad := int((~torch.isfinite(acts).all(dim=-1)).sum()):
        raise LearnError(
            f"{bad} of {len(acts)} states are not finite",
            allowed="finite numbers; float16 ends at 65,504 and overflows to infinity",
            remedy="drop those rows, or harvest in bfloat16 or float32",
        )


def usual_encoder(kind: str) -> Encoder:
    """What encodes concepts of which only the kind is known: ``centroid`` or ``direction``."""
    return Nearest() if kind == "centroid" else Projection()
