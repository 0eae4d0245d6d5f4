"""The encoder of a sparse autoencoder: linear, then an activation that leaves few codes.

    codes = activation(W (normalise(x) - b_dec) + b)        x ~ codes V + b_dec

with ``b_dec`` taken off or not, W (k, d) the encoder's rows and V (k, d) the concepts' vectors. The
activations: ``topk`` keeps the m largest and no negative one (Gao et al. 2024, section 2.3);
``relu``; ``jumprelu`` keeps what exceeds a threshold, one for all or each its own (Rajamanoharan et
al. 2024). BatchTopK is read with the threshold that it was saved with, as a jumprelu.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.encoders import NO_CONCEPT, Encoder, encoders
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts, Assignment, Codes, Vectors

ACTIVATIONS = ("topk", "relu", "jumprelu")
NORMALISATIONS = ("none", "constant-norm", "layer-norm")
_VALUES = 2**24  # codes held at once where only their largest is asked for
_EPSILON = 1e-5  # of layer-norm, added to the standard deviation


@encoders.register("sae")
@dataclass(frozen=True, eq=False)
class SparseAutoencoder(Encoder):
    """See the module.

    Attributes:
        weight: (j, d) rows of the encoder; as many as concepts, or more where concepts were dropped
            that still compete for the m largest codes.
        bias: (j,) of the encoder.
        decoder_bias: (d,) added to what codes stand for.
        activation: one of ``ACTIVATIONS``.
        active: m of ``topk``; 0 for the others.
        threshold: (j,) of ``jumprelu``.
        subtract: whether the encoder sees states without ``decoder_bias``.
        normalisation: ``none``; ``constant-norm`` gives states the length sqrt(d), but for a
            state of zeros, which stays one; ``layer-norm`` takes off each state's mean and divides
            by its standard deviation.
        kept: (k,) which rows the concepts are; all of them, in order, unless given.
    """

    name: ClassVar[str] = "sae"
    weight: Float[Tensor, "j d"]
    bias: Float[Tensor, " j"]
    decoder_bias: Float[Tensor, " d"]
    activation: str = "topk"
    active: int = 0
    threshold: Float[Tensor, " j"] | None = None
    subtract: bool = True
    normalisation: str = "none"
    kept: Int[Tensor, " k"] | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise LearnError(
                f"an autoencoder with the activation {self.activation!r}",
                allowed=", ".join(ACTIVATIONS),
            )
        if self.normalisation not in NORMALISATIONS:
            raise LearnError(
                f"an autoencoder that normalises by {self.normalisation!r}",
                allowed=", ".join(NORMALISATIONS),
            )
        if self.activation == "topk" and not 1 <= self.active <= len(self.weight):
            raise LearnError(
                f"an autoencoder of {len(self.weight)} concepts with {self.active} active at once",
                allowed=f"1 to {len(self.weight)}",
            )
        if (self.activation == "jumprelu") != (self.threshold is not None):
            raise LearnError(
                f"the activation {self.activation!r} with"
                f"{'out' if self.threshold is None else ''} a threshold",
                allowed="jumprelu with one, topk and relu without",
            )

    def encode(self, acts: Acts, vectors: Vectors) -> Codes:  # noqa: ARG002
        """See ``Encoder.encode``; the vectors are not asked."""
        states = self._normalised(acts.float())
        if self.subtract:
            states = states - self.decoder_bias.to(states.device)
        weight, bias = self.weight.to(states.device), self.bias.to(states.device)
        codes = self._activated(states @ weight.T + bias)
        return codes if self.kept is None else codes[:, self.kept.to(codes.device)]

    def assign(self, acts: Acts, vectors: Vectors) -> Assignment:
        """See ``Encoder.assign``; never holds the codes of all rows at once."""
        found = [
            torch.where(best.values > 0, best.indices, NO_CONCEPT)
            for part in self._parts(acts)
            for best in (self.encode(part, vectors).max(dim=1),)
        ]
        return torch.cat(found) if found else torch.empty(0, dtype=torch.long, device=acts.device)

    def reconstruct(self, codes: Codes, vectors: Vectors) -> Acts:
        """See ``Encoder.reconstruct``; without the share of concepts that were dropped.

        Raises:
            LearnError: states are normalised one by one: codes do not tell how long theirs was.
        """
        if self.normalisation != "none":
            raise LearnError(
                f"this autoencoder sees states after {self.normalisation} normalisation, and codes "
                "do not tell what it took off",
                remedy="compare its codes, not its reconstruction",
            )
        return codes @ vectors.to(codes.device) + self.decoder_bias.to(codes.device)

    def settings(self) -> dict[str, Any]:
        """See ``Encoder.settings``."""
        names = ("activation", "active", "subtract", "normalisation")
        return {name: getattr(self, name) for name in names}

    def own_tensors(self) -> dict[str, Tensor]:
        """See ``Encoder.own_tensors``."""
        names = ("weight", "bias", "decoder_bias", "threshold", "kept")
        parts = {name: getattr(self, name) for name in names}
        return {name: tensor for name, tensor in parts.items() if tensor is not None}

    def _normalised(self, states: Acts) -> Acts:
        if self.normalisation == "constant-norm":
            return normalize(states, dim=1) * states.shape[1] ** 0.5
        if self.normalisation == "layer-norm":
            centred = states - states.mean(dim=1, keepdim=True)
            return centred / (centred.std(dim=1, keepdim=True) + _EPSILON)
        return states

    def _activated(self, before: Codes) -> Codes:
        if self.activation == "topk":
            best = before.topk(self.active, dim=1)
            return torch.zeros_like(before).scatter(1, best.indices, best.values.relu())
        if self.threshold is None:
            return before.relu()
        return before.relu() * (before > self.threshold.to(before.device))

    def _parts(self, acts: Acts) -> Iterator[Acts]:
        yield from acts.split(max(1, _VALUES // len(self.weight))) if len(acts) else ()
