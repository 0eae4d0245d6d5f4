"""``heat_maps``: where in a picture a concept is.

``projection`` is the usual method: the state of each picture token after the concepts' block,
projected on the concept and laid back on the pixels. It says what the tokens *carry*. A vision
tower that mixes its patches may write what it saw into tokens that stand elsewhere, so a hot patch
need not be where the thing is: on the embedded world it is not. ``occlusion`` hides parts of the
picture instead and sees how much of the concept is lost where it is said: it costs a pass for each
part, and is about the pixels. ``calibrated`` learns from the occlusion of a few pictures which
states of tokens tell of a loss, and then costs one pass a picture.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.heat_map import HeatMap, laid_out
from shiftlens.concepts.grounding.image_states import ImageStates, image_states
from shiftlens.concepts.grounding.occlusion_maps import occlusion_maps
from shiftlens.concepts.grounding.words import (
    contrast,
    direction_scores,
    reading,
    state_scores,
    word_tokens,
)
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts, Codes
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response

if TYPE_CHECKING:
    from shiftlens.concepts.grounding.calibrating import Calibration

__all__ = ["METHODS", "HeatMap", "heat_maps"]

METHODS = ("projection", "cosine", "readout", "occlusion", "calibrated")

_N_WORDS = 5  # tokens by which the logit lens knows a concept
_Scorer = Callable[[Acts], Codes]


def heat_maps(
    model: Model,
    concepts: Concepts,
    samples: Sequence[Sample],
    *,
    which: Sequence[int] | None = None,
    method: str = "projection",
    batch_size: int = 16,
    picture: int = 0,
    reference: Sequence[Sample] | None = None,
    calibration: "Calibration | None" = None,
    said: Mapping[str, Response] | None = None,
) -> list[list[HeatMap]]:
    """Heat maps of concepts over the pictures of samples.

    Concepts are learned where a word is said, and the tokens of pictures live elsewhere in the same
    space: what all of them have in common would drown the rest. So the mean picture token is taken
    off the states, and the mean centroid off centroids.

    Args:
        model: who sees the pictures.
        concepts: of one layer of its language model.
        samples: prompts with pictures.
        which: numbers of concepts; all by default.
        method: ``projection``: (h - mean) on the concept's direction, of unit length.
            ``cosine``: the cosine of the two. ``readout``: how much likelier than at the mean token
            the concept's five most contrastive words are, read from the token's state through final
            norm and unembedding. ``occlusion``: see ``occlusion_maps``; it needs no grid.
            ``calibrated``: with a ``calibration``.
        batch_size: samples at once; more samples than that are read twice, once for their mean.
        picture: which picture of each sample, from 0.
        reference: whose mean picture token is taken off; the ``samples`` by default. Of a single
            sample that is the mean over its own patches, which moves every number of a map alike.
        calibration: for ``calibrated``; made by ``calibrate`` for the same concepts.
        said: for ``occlusion``: responses by sample id; the model's own greedy ones by default.

    Returns:
        samples x concepts, in the orders given.

    Raises:
        GroundingError: unknown method or concept, concepts of another tower, a concept without
            direction, states that are not finite, or for ``occlusion`` a response without the word
            of the concepts' site.
        DataError: no samples, an unreadable picture, or a family without picture tokens.
        SiteError: a sample lacks the picture, or no patch of the family has a place in it.
    """
    if method not in METHODS:
        raise GroundingError(f"unknown method {method!r}", allowed=", ".join(METHODS))
    options: dict[str, Any] = {"picture": picture, "batch_size": batch_size}
    if method == "occlusion":
        return occlusion_maps(model, concepts, samples, which=which, said=said, **options)
    axes = Axes.of(concepts, which)
    seen: Iterable[ImageStates] = image_states(model, samples, concepts.site, **options)
    if method == "calibrated":
        scorer = _calibrated(calibration, axes)
    else:
        if len(samples) <= batch_size:
            seen = list(seen)  # few enough to be looked at once; many are read a second time
        beside = samples if reference is None else reference
        again = reference is not None or len(samples) > batch_size
        mean = _mean(image_states(model, beside, concepts.site, **options) if again else seen)
        scorer = _scorer(model, concepts, axes, method, mean)
    return [_maps(one, scorer(one.shown), axes, method) for one in seen]


def _mean(seen: Iterable[ImageStates]) -> Float[Tensor, " d"]:
    """The mean picture token."""
    total, n = torch.zeros(1, dtype=torch.float64), 0
    for one in seen:
        total, n = total + one.shown.double().sum(dim=0), n + len(one.shown)
    return (total / n).float()


def _maps(seen: ImageStates, scores: Codes, axes: Axes, method: str) -> list[HeatMap]:
    grid, size = seen.grid, seen.layout.size
    assert size is not None  # these inputs hold the sizes of their pictures
    if not bool(torch.isfinite(scores).all()):
        raise GroundingError(f"the picture tokens of {seen.sample_id!r} are not all finite")
    return [
        laid_out(
            seen.sample_id,
            concept,
            scores[:, at].reshape(grid.rows, grid.cols).numpy(),
            seen.picture,
            grid.lines(),
            size,
            method,
        )
        for at, concept in enumerate(axes.numbers)
    ]


def _scorer(model: Model, concepts: Concepts, axes: Axes, method: str, mean: Tensor) -> _Scorer:
    if method == "projection":
        return lambda states: (states - mean) @ axes.directions.T
    if method == "cosine":
        return lambda states: normalize(states - mean, dim=1) @ axes.directions.T
    return _by_words(model, concepts, axes, mean)


def _by_words(model: Model, concepts: Concepts, axes: Axes, mean: Tensor) -> _Scorer:
    """The logit lens: log-probabilities of each concept's words, against those at the mean."""
    readout = reading(model.readout, concepts.site)
    if concepts.kind == "centroid":
        scores = state_scores(readout, concepts.vectors.cpu())
    else:
        scores = direction_scores(readout, concepts.vectors.cpu(), axes.origin)
    ids = torch.tensor(sorted(word_tokens(readout.tokenizer)))
    if not len(ids):
        raise GroundingError("no token of this vocabulary can stand as a word")
    best = contrast(scores)[list(axes.numbers)][:, ids].topk(min(_N_WORDS, len(ids))).indices
    tokens = ids[best]
    usual = state_scores(readout, mean[None])

    def score(states: Acts) -> Codes:
        risen = state_scores(readout, states) - usual
        return torch.stack([risen[:, own].mean(dim=1) for own in tokens], dim=1)

    return score


def _calibrated(calibration: "Calibration | None", axes: Axes) -> _Scorer:
    if calibration is None:
        raise GroundingError(
            'the method "calibrated" needs a calibration',
            remedy="make one from a few samples: calibrate(model, concepts, samples)",
        )
    return lambda states: calibration.scores(states, axes)
