"""``SteeringVector``: a direction in the residual stream that knows where it belongs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site, site_from
from shiftlens.concepts.files import load_pair, save_pair
from shiftlens.core.errors import SteeringError

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """A direction at a site, with where it came from.

    Attributes:
        direction: (d,) float32.
        site: where the states were taken; one layer, counted from 0.
        name: for people.
        kind: how it was made ("mean difference", "concept shift", ...).
        state_norm: mean norm of the states it came from, the yardstick of its dose.
        provenance: JSON: model, data and rows that it came from.
    """

    direction: Float[Tensor, " d"]
    site: Site
    name: str
    kind: str
    state_norm: float
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

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
        if not bool(torch.isfinite(self.direction).all()):
            raise SteeringError(f"vector {self.name!r} has entries that are not finite")

    @property
    def layer(self) -> int:
        """The block after which it lives."""
        assert isinstance(self.site.layer, int)  # checked above
        return self.site.layer

    @property
    def norm(self) -> float:
        """Euclidean length."""
        return float(self.direction.norm())

    def __add__(self, other: "SteeringVector") -> "SteeringVector":
        self._require_same_site(other)
        return self._made(self.direction + other.direction, f"{self.name} + {other.name}")

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        self._require_same_site(other)
        return self._made(self.direction - other.direction, f"{self.name} - {other.name}")

    def __mul__(self, factor: float) -> "SteeringVector":
        return self._made(self.direction * factor, f"{factor:g} x ({self.name})")

    __rmul__ = __mul__

    def __neg__(self) -> "SteeringVector":
        return self._made(-self.direction, f"-({self.name})")

    def __truediv__(self, divisor: float) -> "SteeringVector":
        return self._made(self.direction / divisor, f"({self.name}) / {divisor:g}")

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        data = {
            "site": self.site.describe(),
            "name": self.name,
            "kind": self.kind,
            "state_norm": self.state_norm,
            "provenance": dict(self.provenance),
        }
        save_pair(Path(path), "steering vector", _SCHEMA, {"direction": self.direction}, data)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Read a vector written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "steering vector", _SCHEMA)
        site = site_from(data.pop("site"))
        return cls(tensors["direction"], site=site, **data)

    def _require_same_site(self, other: "SteeringVector") -> None:
        same_model = self.provenance.get("model") == other.provenance.get("model")
        if self.site.layer != other.site.layer or self.direction.shape != other.direction.shape:
            raise SteeringError(
                f"{self.name!r} lives at layer {self.site.layer} with {len(self.direction)} "
                f"entries, {other.name!r} at layer {other.site.layer} with {len(other.direction)}",
                allowed="arithmetic between vectors of one layer of one model",
            )
        if not same_model:
            raise SteeringError(
                f"{self.name!r} and {other.name!r} come from different models",
                allowed="arithmetic between vectors of one layer of one model",
            )

    def _made(self, direction: Tensor, name: str) -> "SteeringVector":
        return replace(self, direction=direction, name=name)
