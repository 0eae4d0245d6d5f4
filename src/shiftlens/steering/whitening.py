"""Whitening: the space in which distance means something."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Whitening:
    """Maps states to a space where their shrunk covariance is the identity.

    Attributes:
        matrix: (d, d), symmetric: the inverse square root of the covariance.
    """

    matrix: Float[Tensor, "d d"]

    @staticmethod
    def fit(centred: Float[Tensor, "n d"]) -> "Whitening":
        """From states whose group means were taken off: (n, d)."""
        values, vectors = torch.linalg.eigh(shrunk_covariance(centred))
        return Whitening((vectors * values.rsqrt()) @ vectors.T)

    def apply(self, states: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Whitened states."""
        return states @ self.matrix.to(states)


def shrunk_covariance(centred: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """Covariance shrunk towards a sphere by Ledoit and Wolf's rule; always invertible.

    Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
    """
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(centred.double().cpu().numpy(), assume_centered=True)
    result = torch.from_numpy(covariance).to(device=centred.device, dtype=torch.float32)
    # Rows that are all equal have no covariance at all: any sphere will do.
    floor = torch.finfo(torch.float32).eps * max(1.0, float(result.diagonal().mean()))
    return result + floor * torch.eye(len(result), device=result.device)
