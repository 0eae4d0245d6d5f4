"""``AffineEdit``: an intervention that is a map of low rank, not one direction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site, site_from
from shiftlens.concepts.files import direction_of, load_pair, provenance_of, refusing, save_pair
from shiftlens.core.errors import SteeringError
from shiftlens.core.fields import Fields

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class AffineEdit:
    """h' = h - strength * f((h - mean) right^T) left^T, with f the identity, or clipped at 0.

    LEACE (Belrose et al. 2023) and the affine switch (MidSteer, arXiv 2605.05220) are of this form.

    Attributes:
        left: (d, r) directions that are written.
        right: (r, d) directions that are read.
        mean: (d,) where the map does nothing.
        clipped: whether only positive readings count, so that states on the other side stay.
        site: where the states were taken; one layer, counted from 0.
        name: for people.
        kind: how it was made ("LEACE", "affine switch").
        state_norm: mean norm of the states it came from.
        provenance: JSON: model, data and rows that it came from.
    """

    left: Float[Tensor, "d r"]
    right: Float[Tensor, "r d"]
    mean: Float[Tensor, " d"]
    clipped: bool
    site: Site
    name: str
    kind: str
    state_norm: float
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        d, r = self.left.shape if self.left.ndim == 2 else (0, 0)
        if r < 1 or self.right.shape != (r, d) or self.mean.shape != (d,):
            raise SteeringError(
                f"edit {self.name!r} has maps of shape {tuple(self.left.shape)}, "
                f"{tuple(self.right.shape)} and a mean of {tuple(self.mean.shape)}",
                allowed="(d, r), (r, d) and (d,), with r of 1 or more",
            )
        if not isinstance(self.site.layer, int) or self.site.layer < 0 or self.site.normed:
            raise SteeringError(
                f"edit {self.name!r} comes from {self.site}",
                allowed="one layer of the residual stream, counted from 0",
                remedy="resolve the site first: site.resolve(model)",
            )
        parts = (self.left, self.right, self.mean)
        if not all(bool(torch.isfinite(part).all()) for part in parts):
            raise SteeringError(f"edit {self.name!r} has entries that are not finite")
        if not (math.isfinite(self.state_norm) and self.state_norm >= 0):
            raise SteeringError(
                f"edit {self.name!r} comes from states of the mean length {self.state_norm}",
                allowed="a number of 0 or more",
            )

    @property
    def layer(self) -> int:
        """The block after which it lives."""
        assert isinstance(self.site.layer, int)  # checked above
        return self.site.layer

    @property
    def rank(self) -> int:
        """How many directions are read."""
        return self.right.shape[0]

    def apply(self, states: Float[Tensor, "... d"], strength: float) -> Float[Tensor, "... d"]:
        """Edited copies of the states, each by itself; the input is not changed.

        Computed in float32 or better and returned in the states' type; at strength 0 the states
        themselves come back.

        Raises:
            SteeringError: the strength is not a finite number, or the states have another width.
        """
        if not math.isfinite(strength):
            raise SteeringError(f"strength {strength!r} is not a finite number")
        if states.shape[-1] != len(self.mean):
            raise SteeringError(
                f"states of width {states.shape[-1]}", allowed=f"width {len(self.mean)}"
            )
        if strength == 0:
            return states
        wide = torch.promote_types(states.dtype, torch.float32)
        left, right, mean = (
            part.to(states.device, wide) for part in (self.left, self.right, self.mean)
        )
        read = (states.to(wide) - mean) @ right.T
        if self.clipped:
            read = read.clamp_min(0)
        return (states.to(wide) - strength * (read @ left.T)).to(states.dtype)

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``."""
        save_pair(Path(path), "affine edit", _SCHEMA, self.tensors(), self.to_data())

    @classmethod
    def load(cls, path: str | Path) -> "AffineEdit":
        """Read an edit written by ``save``.

        Raises:
            StoreError: missing, damaged, or something else.
        """
        tensors, data = load_pair(Path(path), "affine edit", _SCHEMA)
        with refusing(f"{path}.json"):
            return cls.from_data(tensors, Fields(data, f"data of {path}.json"))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, by name."""
        return {"left": self.left, "right": self.right, "mean": self.mean}

    def to_data(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON."""
        return {
            "clipped": self.clipped,
            "site": self.site.describe(),
            "name": self.name,
            "kind": self.kind,
            "state_norm": self.state_norm,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_data(cls, tensors: Mapping[str, Tensor], data: Fields) -> "AffineEdit":
        """The edit that ``tensors`` and ``to_data`` described.

        Raises:
            StoreError: something is missing, or of the wrong kind.
        """
        with refusing(data.where):
            site = site_from(data.object("site"))
        made = cls(
            left=direction_of(tensors, "left", data.where, dims=2),
            right=direction_of(tensors, "right", data.where, dims=2),
            mean=direction_of(tensors, "mean", data.where),
            clipped=data.flag("clipped"),
            site=site,
            name=data.text("name"),
            kind=data.text("kind"),
            state_norm=data.number("state_norm"),
            provenance=provenance_of(data),
        )
        data.done()
        return made
