"""``calibrate``: which states of picture tokens tell that the concept would miss their patch.

Hiding patches says where a concept comes from, at a pass for each window. A few pictures are enough
to learn a linear map from the state of a patch's token to what is lost without that patch (ridge
regression); new pictures then cost one pass each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.hiding import Fill
from shiftlens.concepts.grounding.image_states import image_states
from shiftlens.concepts.grounding.occlusion_maps import losses, scenes_of
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts, Codes, Vectors
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response


@dataclass(frozen=True, eq=False)
class Calibration:
    """A linear map from states of picture tokens to losses of concepts.

    Attributes:
        mean: (d,) of the picture tokens that it was learned from.
        weights: (k, d) one row for each concept of ``numbers``.
        numbers: which concepts.
        directions: (k, d) of these concepts, by which others are refused.
        n_patches: how many patches it was learned from.
    """

    mean: Float[Tensor, " d"]
    weights: Vectors
    numbers: tuple[int, ...]
    directions: Vectors
    n_patches: int

    def scores(self, states: Acts, axes: Axes) -> Codes:
        """Expected losses (n, k) of the concepts of ``axes`` without patches in these states.

        Raises:
            GroundingError: it was learned for other concepts.
        """
        places = {number: at for at, number in enumerate(self.numbers)}
        missing = [one for one in axes.numbers if one not in places]
        own = [places[one] for one in axes.numbers if one in places]
        if missing or not torch.allclose(self.directions[own], axes.directions, atol=1e-5):
            raise GroundingError(
                "the calibration was made for other concepts",
                allowed=f"the concepts it was made for, numbers {list(self.numbers)}",
                remedy="calibrate again with these concepts",
            )
        return (states - self.mean) @ self.weights[own].T


def calibrate(
    model: Model,
    concepts: Concepts,
    samples: Sequence[Sample],
    *,
    which: Sequence[int] | None = None,
    said: Mapping[str, Response] | None = None,
    picture: int = 0,
    penalty: float = 0.1,
    step: int | None = None,
    window: int | None = None,
    fill: Fill = "mean",
    batch_size: int = 16,
) -> Calibration:
    """Learn from the occlusion of a few samples what a patch's state tells of its worth.

    Args:
        model: who sees the pictures.
        concepts: of one layer.
        samples: 10 to 50 are enough on the embedded world; not those that are judged afterwards.
        which: numbers of concepts; all by default.
        said: responses by sample id; the model's own greedy ones by default.
        picture: which picture of each sample, from 0.
        penalty: of the ridge regression, as a share of the mean variance of a dimension.
        step, window, fill: see ``occlusion_maps``.
        batch_size: pictures at once.

    Raises:
        GroundingError: a penalty that is not positive; as for ``occlusion_maps``.
        DataError, SiteError: as for ``image_states``: the family needs a grid of picture tokens.
    """
    if not penalty > 0:
        raise GroundingError(f"a penalty of {penalty}", allowed="above 0")
    axes = Axes.of(concepts, which)
    options: dict[str, Any] = {"step": step, "window": window, "fill": fill}
    scenes = scenes_of(model, samples, said, picture=picture, batch_size=batch_size)
    seen = image_states(model, samples, concepts.site, picture=picture, batch_size=batch_size)
    states = torch.cat([one.shown for one in seen])
    lost = [
        losses(model, concepts, one, batch_size=batch_size, **options).lost @ axes.directions.T
        for one in scenes
    ]
    mean = states.mean(dim=0)
    weights = _ridge(states - mean, torch.cat(lost), penalty)
    return Calibration(mean, weights.T, axes.numbers, axes.directions, len(states))


def _ridge(states: Acts, lost: Codes, penalty: float) -> Float[Tensor, "d k"]:
    """Without an intercept: a patch in the mean state is worth nothing, on the scale of a map."""
    wide = states.double()
    covariance = wide.T @ wide / len(wide)
    scale = covariance.diagonal().mean().clamp_min(1e-12)
    ridge = covariance + penalty * scale * torch.eye(wide.shape[1], dtype=torch.float64)
    return torch.linalg.solve(ridge, wide.T @ lost.double() / len(wide)).float()
