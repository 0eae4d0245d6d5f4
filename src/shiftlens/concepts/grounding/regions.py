"""``concepts_of_region``: from a rectangle of a picture to the concepts that it holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.heat_map import HeatMap
from shiftlens.concepts.grounding.heat_maps import heat_maps
from shiftlens.core.errors import GroundingError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.geometry.layout import Box
from shiftlens.models.geometry.mapping import region
from shiftlens.models.model import Model, Response


@dataclass(frozen=True)
class RegionConcept:
    """A concept in a rectangle, beside the rest of the picture.

    Attributes:
        concept: which concept.
        inside: mean of its heat map over the rectangle's patches.
        outside: the same over all other patches.
        score: their difference in standard deviations of the heat map over the picture's patches,
            so that concepts of different scales can be ranked; 0 for a map that is flat.
    """

    concept: int
    inside: float
    outside: float
    score: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


def concepts_of_region(
    model: Model,
    concepts: Concepts,
    sample: Sample,
    box: Box,
    *,
    share: float = 0.5,
    n: int | None = None,
    which: Sequence[int] | None = None,
    method: str = "projection",
    picture: int = 0,
    reference: Sequence[Sample] | None = None,
    said: Mapping[str, Response] | None = None,
    batch_size: int = 16,
) -> list[RegionConcept]:
    """Which concepts are in a rectangle of a picture rather than in the rest of it.

    Args:
        model: who sees the picture.
        concepts: of one layer.
        sample: its prompt with its pictures.
        box: left, top, right, bottom in pixels of the picture.
        share: how much of a patch must lie in the box, above 0 up to 1.
        n: how many concepts at most; all by default.
        which: among which concepts; all by default.
        method, reference, said, batch_size: see ``heat_maps``.
        picture: which picture of the sample, from 0.

    Returns:
        the largest score first; ties in the order of the concepts.

    Raises:
        SiteError: the box is empty, leaves the picture, covers no patch by that share, or covers
            all of them.
        GroundingError, DataError: ``n`` below 1; or as for ``heat_maps``.
    """
    if n is not None and n < 1:
        raise GroundingError(f"cannot list {n} concepts", allowed="n from 1 up")
    maps = heat_maps(
        model,
        concepts,
        [sample],
        which=which,
        method=method,
        picture=picture,
        reference=reference,
        said=said,
        batch_size=batch_size,
    )[0]
    inside = _inside(maps[0], box, share)
    found = [_beside(one, inside) for one in maps]
    ranked = sorted(found, key=lambda one: -one.score)
    return ranked if n is None else ranked[:n]


def _inside(heat_map: HeatMap, box: Box, share: float) -> np.ndarray:
    """(rows * cols) booleans: which patches lie in the box."""
    height, width = heat_map.values.shape
    left, top, right, bottom = box
    if not all(math.isfinite(edge) for edge in box):
        raise SiteError(f"the box {box} has an edge that is no number")
    if left < 0 or top < 0 or right > width or bottom > height:
        raise SiteError(
            f"the box {box} leaves the picture", allowed=f"pixels within (0, 0, {width}, {height})"
        )
    chosen = region(heat_map.layout, box, share=share, name=heat_map.sample_id)
    inside = np.zeros(heat_map.patches.size, dtype=bool)
    inside[list(chosen)] = True
    if inside.all():
        raise SiteError(
            f"the box {box} holds every patch of the picture",
            allowed="a part of it: concepts of a region are those that the rest has less of",
        )
    return inside


def _beside(heat_map: HeatMap, inside: np.ndarray) -> RegionConcept:
    values = heat_map.patches.ravel().astype(np.float64)
    within, without = float(values[inside].mean()), float(values[~inside].mean())
    spread = float(values.std())
    flat = spread <= 1e-9 * max(1.0, float(np.abs(values).max()))
    return RegionConcept(
        heat_map.concept, within, without, 0.0 if flat else (within - without) / spread
    )
