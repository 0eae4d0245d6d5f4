"""``SteeringVector``: a direction in the residual stream that knows where it belongs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site, site_from
from shiftlens.concepts.files import direction_of, load_pair, provenance_of, refusing, save_pair
from shiftlens.core.errors import SteeringError
from shiftlens.core.fields import Fields

_SCHEMA = 2


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """A direction at a site, with where it came from.

    Vectors of one site add up, also with ``sum``, and stretch; ``-vector`` undoes what the vector
    does. What comes out names its parts in ``provenance["parts"]``.

    Attributes:
        direction: (d,) float32.
        site: where the states were taken; one layer, counted from 0.
        name: for people.
        kind: how it was made ("mean difference", "concept shift", ...).
        state_norm: mean norm of the states it came from, the yardstick of its dose.
        provenance: JSON: model, data and rows that it came from.
        description: a few sentences for people: what it does, what it was tried on.
        licence: of the vector, an SPDX identifier ("apache-2.0"); empty where nobody said.
    """

    direction: Float[Tensor, " d"]
    site: Site
    name: str
    kind: str
    state_norm: float
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    description: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.site.layer, int) or self.site.layer < 0:
            raise SteeringError(
                f"vector {self.name!r} has the layer {self.site.layer}",
                allowed="one layer, counted from 0",
                remedy="resolve the site first: site.resolve(model)",
            )
        if self.site.normed:
            raise SteeringError(
                f"vector {self.name!r} comes from states behind the final norm",
                allowed="vectors of the residual stream, to which a block's output belongs",
                remedy="harvest the same site without normed=True",
            )
        if self.direction.ndim != 1 or not len(self.direction):
            raise SteeringError(
                f"vector {self.name!r} has the shape {tuple(self.direction.shape)}",
                allowed="(d,): one direction",
            )
        if not bool(torch.isfinite(self.direction).all()):
            raise SteeringError(f"vector {self.name!r} has entries that are not finite")
        if not (math.isfinite(self.state_norm) and self.state_norm >= 0):
            raise SteeringError(
                f"vector {self.name!r} comes from states of the mean length {self.state_norm}",
                allowed="a number of 0 or more",
            )

    def __repr__(self) -> str:
        return (
            f"SteeringVector({_short(self.name)!r}, {self.kind}, after block {self.layer}, "
            f"length {self.norm:.4g})"
        )

    def _repr_html_(self) -> str:
        from shiftlens.concepts.told import vector_card

        return vector_card(self)

    @property
    def layer(self) -> int:
        """The block after which it lives."""
        assert isinstance(self.site.layer, int)  # checked above
        return self.site.layer

    @property
    def norm(self) -> float:
        """Euclidean length."""
        return float(self.direction.norm())

    def cosine(self, other: "SteeringVector") -> float:
        """Cosine of the angle to another vector of the same site, in [-1, 1].

        Raises:
            SteeringError: another site or model, or a vector of length 0, which has no direction.
        """
        self._require_same_site(other)
        cosine = float(self._unit() @ other._unit())
        return max(-1.0, min(1.0, cosine))

    def without(self, other: "SteeringVector") -> "SteeringVector":
        """This vector less its projection on another: what is left does nothing along the other.

        Raises:
            SteeringError: another site or model, or ``other`` has length 0.
        """
        self._require_same_site(other)
        unit, own = other._unit(), self.direction.double()
        left = (own - (own @ unit) * unit).to(self.direction.dtype)
        return self._combined(other, left, f"{self.name} without {_bracketed(other.name)}")

    def scaled_to(self, length: float) -> "SteeringVector":
        """The same direction with another length.

        Raises:
            SteeringError: the length is not a positive number, or this vector has length 0.
        """
        if not (math.isfinite(length) and length > 0):
            raise SteeringError(f"the length {length}", allowed="a number above 0")
        direction = (self._unit() * length).to(self.direction.dtype)
        return self._made(direction, f"{self.name}, of length {length:g}")

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        self._require_same_site(other)
        return self._combined(
            other, self.direction + other.direction, f"{self.name} + {other.name}"
        )

    def __radd__(self, other: int) -> "SteeringVector":
        """``sum(vectors)`` begins with the number 0."""
        if other != 0:
            raise SteeringError(
                f"{other!r} and the vector {self.name!r} do not add up",
                allowed="vectors of one layer of one model",
            )
        return self

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        self._require_same_site(other)
        name = f"{self.name} - {_bracketed(other.name)}"
        return self._combined(other, self.direction - other.direction, name)

    def __mul__(self, factor: float) -> "SteeringVector":
        if not math.isfinite(factor):
            raise SteeringError(f"{self.name!r} times {factor}", allowed="a finite number")
        return self._made(self.direction * factor, f"{factor:g} x ({self.name})")

    __rmul__ = __mul__

    def __neg__(self) -> "SteeringVector":
        return self._made(-self.direction, f"-({self.name})")

    def __truediv__(self, divisor: float) -> "SteeringVector":
        if not math.isfinite(divisor) or divisor == 0:
            raise SteeringError(
                f"{self.name!r} divided by {divisor}", allowed="a finite number other than 0"
            )
        return self._made(self.direction / divisor, f"({self.name}) / {divisor:g}")

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        save_pair(Path(path), "steering vector", _SCHEMA, self.tensors(), self.to_data())

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Read a vector written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "steering vector", _SCHEMA, oldest=1)
        with refusing(f"{path}.json"):
            return cls.from_data(tensors, Fields(data, f"data of {path}.json"))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, by name."""
        return {"direction": self.direction}

    def to_data(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "site": self.site.describe(),
            "name": self.name,
            "kind": self.kind,
            "state_norm": self.state_norm,
            "provenance": dict(self.provenance),
            "description": self.description,
            "licence": self.licence,
        }

    @classmethod
    def from_data(cls, tensors: Mapping[str, Tensor], data: Fields) -> "SteeringVector":
        """The vector that ``tensors`` and ``to_data`` described.

        Files of schema 1 have neither description nor licence.

        Raises:
            StoreError: something is missing, or of the wrong kind.
        """
        with refusing(data.where):
            site = site_from(data.object("site"))
        made = cls(
            direction_of(tensors, "direction", data.where),
            site=site,
            name=data.text("name"),
            kind=data.text("kind"),
            state_norm=data.number("state_norm"),
            provenance=provenance_of(data),
            description=data.text("description", ""),
            licence=data.text("licence", ""),
        )
        data.done()
        return made

    def _require_same_site(self, other: "SteeringVector") -> None:
        here, there = ((one.site.tower, one.site.layer) for one in (self, other))
        if here != there or self.direction.shape != other.direction.shape:
            raise SteeringError(
                f"{self._place()}, {other._place()}",
                allowed="arithmetic between vectors of one layer of one model",
            )
        if self.provenance.get("model") != other.provenance.get("model"):
            raise SteeringError(
                f"{self.name!r} and {other.name!r} come from different models",
                allowed="arithmetic between vectors of one layer of one model",
            )

    def _place(self) -> str:
        tower = "" if self.site.tower == "language" else f" of the {self.site.tower} tower"
        return (
            f"{self.name!r} lives at layer {self.site.layer}{tower} "
            f"with {len(self.direction)} entries"
        )

    def _unit(self) -> Float[Tensor, " d"]:
        """(d,) float64, of length 1."""
        wide = self.direction.double()
        length = float(wide.norm())
        if length == 0:
            raise SteeringError(f"vector {self.name!r} has length 0, and so no direction")
        return wide / length

    def _made(self, direction: Tensor, name: str) -> "SteeringVector":
        return replace(self, direction=direction, name=name)

    def _combined(self, other: "SteeringVector", direction: Tensor, name: str) -> "SteeringVector":
        """A vector of two: what both say of where they come from, and both as parts."""
        mine, theirs = self.provenance, other.provenance
        shared = {key: value for key, value in mine.items() if theirs.get(key) == value}
        parts = [*self._parts(), *other._parts()]
        return replace(
            self,
            direction=direction,
            name=name,
            kind=self.kind if self.kind == other.kind else "combination",
            state_norm=(self.state_norm + other.state_norm) / 2,
            provenance={**shared, "parts": parts},
            # What was said of one part need not be true of the sum.
            description="",
            licence=self.licence if self.licence == other.licence else "",
        )

    def _parts(self) -> list[dict[str, Any]]:
        known: list[dict[str, Any]] | None = self.provenance.get("parts")
        own = {"name": self.name, "kind": self.kind, "provenance": dict(self.provenance)}
        return [own] if known is None else known


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"


def _bracketed(name: str) -> str:
    """A name of a sum in brackets, so that what is subtracted can be told."""
    return f"({name})" if " + " in name or " - " in name else name
