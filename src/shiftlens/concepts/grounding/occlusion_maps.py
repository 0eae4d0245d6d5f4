"""``occlusion_maps``: what of a concept is lost when a part of the picture is hidden.

The causal twin of a projection (Zeiler and Fergus 2014, section 4.2, for a concept in place of a
class): each window is hidden in the picture, the same text is given, and the loss is how much less
of the concept there is at its own site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.axes import Axes
from shiftlens.concepts.grounding.heat_map import HeatMap, laid_out, shows_pixels
from shiftlens.concepts.grounding.hiding import Fill, check_fill, hidden
from shiftlens.concepts.grounding.own_states import Scene, own_states
from shiftlens.core.errors import DataError, GroundingError
from shiftlens.core.shapes import Acts
from shiftlens.data.sample import Sample
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.geometry.layout import Box, Edges
from shiftlens.models.model import Model, Response
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.prompts import encode_turns

_MOST_WINDOWS = 100
_EVEN = 8  # rows and columns of a picture whose family has no grid


@dataclass(frozen=True, eq=False)
class Losses:
    """What hiding each patch of a picture does to the state at the concepts' site.

    Attributes:
        state: (d,) with the whole picture.
        lost: (rows * cols, d) that state less the one without the patch, row by row; the mean over
            all windows that hide the patch. Patches without pixels have zeros.
        edges: of columns and rows of patches, in pixels.
        size: width and height of the picture.
    """

    state: Float[torch.Tensor, " d"]
    lost: Acts
    edges: tuple[Edges, Edges]
    size: tuple[int, int]

    def maps(self, scene: Scene, axes: Axes) -> list[HeatMap]:
        """A heat map for each concept: how much of it is lost with each patch."""
        across, down = self.edges
        shape = (len(down) - 1, len(across) - 1)
        drops = (self.lost @ axes.directions.T).numpy()
        return [
            laid_out(
                scene.sample.id,
                concept,
                drops[:, at].reshape(shape),
                scene.picture,
                self.edges,
                self.size,
                "occlusion",
            )
            for at, concept in enumerate(axes.numbers)
        ]


def occlusion_maps(
    model: Model,
    concepts: Concepts,
    samples: Sequence[Sample],
    *,
    which: Sequence[int] | None = None,
    said: Mapping[str, Response] | None = None,
    picture: int = 0,
    step: int | None = None,
    window: int | None = None,
    fill: Fill = "mean",
    batch_size: int = 16,
) -> list[list[HeatMap]]:
    """For each patch of each picture the loss of concepts when it is hidden.

    Windows slide over the patches, also over the edges of the picture; a patch has the mean loss of
    all windows that hide it. All concepts come from the same passes. Families whose tokens have no
    places, or that have none for pictures, are looked at in 8 x 8 equal parts.

    Args:
        model: who sees the pictures.
        concepts: of one layer.
        samples: prompts with pictures, in which the concepts' site selects a state.
        which: numbers of concepts; all by default.
        said: responses by sample id, on whose text the state is taken; the model's own greedy ones
            by default.
        picture: which picture of each sample, from 0.
        step: patches between windows; by default as few as keep it to 100 windows a picture.
        window: patches along its side; twice the step by default.
        fill: see ``hidden``.
        batch_size: pictures at once.

    Returns:
        samples x concepts; a map's values are losses of activation, in units of the residual
        stream: positive where the concept needs the patch.

    Raises:
        GroundingError: a response without the word of the concepts' site, an unknown concept or
            fill, or windows that leave gaps.
        DataError: no samples, or an unreadable picture.
        SiteError: a sample lacks the picture.
    """
    axes = Axes.of(concepts, which)
    options: dict[str, Any] = {"step": step, "window": window, "fill": fill}
    scenes = scenes_of(model, samples, said, picture=picture, batch_size=batch_size)
    return [
        losses(model, concepts, scene, batch_size=batch_size, **options).maps(scene, axes)
        for scene in scenes
    ]


def scenes_of(
    model: Model,
    samples: Sequence[Sample],
    said: Mapping[str, Response] | None,
    *,
    picture: int,
    batch_size: int,
) -> list[Scene]:
    """Samples with what is said about them: as given, or else the model's greedy responses.

    Raises:
        DataError: no samples, an unreadable picture, or a sample without a given response.
        SiteError: a sample lacks the picture.
    """
    if not samples:
        raise DataError("no samples to look at", allowed="at least one")
    if said is None:
        answers = model.respond(samples, batch_size=batch_size)
    else:
        missing = [one.id for one in samples if one.id not in said]
        if missing:
            raise DataError(f"no response to sample {missing[0]!r} was given")
        answers = [said[one.id] for one in samples]
    return [Scene.of(one, text, picture) for one, text in zip(samples, answers, strict=True)]


def losses(
    model: Model,
    concepts: Concepts,
    scene: Scene,
    *,
    step: int | None = None,
    window: int | None = None,
    fill: Fill = "mean",
    batch_size: int = 16,
) -> Losses:
    """What hiding each patch of one picture does; see ``occlusion_maps``."""
    check_fill(fill)
    edges = edges_of(model, scene)
    across, down = edges
    windows = _windows(len(down) - 1, len(across) - 1, step, window)
    boxes = [_box(edges, one) for one in windows]
    shown = [at for at, box in enumerate(boxes) if shows_pixels(box, scene.image.size)]
    images = [scene.image, *(hidden(scene.image, [boxes[at]], fill=fill) for at in shown)]
    states = own_states(model, concepts.site, scene, images, batch_size=batch_size)
    covering = np.zeros((len(down) - 1, len(across) - 1, len(shown)), dtype=np.float32)
    for number, at in enumerate(shown):
        top, left, bottom, right = windows[at]
        covering[top:bottom, left:right, number] = 1
    weights = torch.from_numpy(covering.reshape(-1, len(shown)))
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1)
    return Losses(states[0], weights @ (states[:1] - states[1:]), edges, scene.image.size)


def edges_of(model: Model, scene: Scene) -> tuple[Edges, Edges]:
    """Columns and rows of the model's patches in pixels, or of 8 x 8 equal parts."""
    if picture_token(model.hf, model.processor) is not None:
        layout = layouts_of(model, encode_turns(model, [scene.turn]))[0][scene.picture]
        if layout.grid is not None:
            return layout.grid.lines()
    width, height = scene.image.size
    across, down = (tuple(side * at / _EVEN for at in range(_EVEN + 1)) for side in (width, height))
    return across, down


def _windows(
    rows: int, cols: int, step: int | None, window: int | None
) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom, right of each window in patches, clipped to the grid."""
    stride = _least_step(rows, cols) if step is None else step
    side = 2 * stride if window is None else window
    if not 1 <= stride <= side:
        raise GroundingError(
            f"windows of {side} patches, {stride} apart", allowed="1 <= step <= window: no gaps"
        )
    return [
        (max(top, 0), max(left, 0), min(top + side, rows), min(left + side, cols))
        for top in range(stride - side, rows, stride)
        for left in range(stride - side, cols, stride)
    ]


def _least_step(rows: int, cols: int) -> int:
    step = 1
    while (rows // step + 1) * (cols // step + 1) > _MOST_WINDOWS:
        step += 1
    return step


def _box(edges: tuple[Edges, Edges], window: tuple[int, int, int, int]) -> Box:
    (across, down), (top, left, bottom, right) = edges, window
    return across[left], down[top], across[right], down[bottom]
