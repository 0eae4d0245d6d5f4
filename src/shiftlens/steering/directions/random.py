"""Random directions of equal length: the control of every steering."""

import numpy as np
import torch

from shiftlens.concepts.vectors import SteeringVector


def random_like(vector: SteeringVector, seed: int = 0) -> SteeringVector:
    """A random direction at the same site and of the same length: the control of every steering."""
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(len(vector.direction)))
    direction = torch.nn.functional.normalize(noise, dim=0).float() * vector.norm
    return SteeringVector(
        direction=direction.to(vector.direction.device),
        site=vector.site,
        name=f"random direction as long as {vector.name}",
        kind="random",
        state_norm=vector.state_norm,
        provenance={**vector.provenance, "seed": seed},
    )
