"""How well a heat map finds a thing whose pixels are known, beside maps that know nothing.

The pointing game asks whether the hottest pixel is the thing's (Zhang et al. 2016), the overlap
whether the hottest pixels are (intersection over union with the thing's mask).
"""

import numpy as np
from jaxtyping import Bool, Float

from shiftlens.concepts.grounding.heat_map import HeatMap
from shiftlens.core.errors import GroundingError

Values = Float[np.ndarray, "h w"]
# Axes of other names: a mask of another shape is refused by us, in words.
Mask = Bool[np.ndarray, "height width"]


def pointing_game(values: Values, mask: Mask) -> float:
    """Whether the hottest pixel lies on the thing: 1 or 0, and a share where several are hottest.

    All pixels of a patch are equally hot, so the share of the hottest patch that is the thing's is
    what a pixel drawn from it would score on average.

    Args:
        values: (h, w) heat; nan where the model sees nothing, which never counts.
        mask: (h, w) the thing's pixels.

    Raises:
        GroundingError: other shapes, no visible pixel, a thing without one, or heat that is
            infinite.
    """
    heat, thing = _visible(values, mask)
    return float(thing[heat == heat.max()].mean())


def pointing_by_chance(values: Values, mask: Mask) -> float:
    """What any map without knowledge scores in the pointing game: the thing's share of pixels.

    Raises:
        GroundingError: as for ``pointing_game``.
    """
    return float(_visible(values, mask)[1].mean())


def overlap_of(values: Values, mask: Mask) -> float:
    """Intersection over union of the thing and as many of the hottest pixels as it has.

    Of the pixels that tie for the last places each counts by the chance that it is chosen.

    Args:
        values: (h, w) heat; nan where the model sees nothing, which never counts.
        mask: (h, w) the thing's pixels.

    Raises:
        GroundingError: as for ``pointing_game``.
    """
    heat, thing = _visible(values, mask)
    n = int(thing.sum())
    least = np.partition(heat, len(heat) - n)[len(heat) - n]
    above, tied = heat > least, heat == least
    chance = (n - above.sum()) / tied.sum()
    shared = float(thing[above].sum() + chance * thing[tied].sum())
    return shared / (2 * n - shared)


def overlap_by_chance(heat_map: HeatMap, mask: Mask, *, n_draws: int = 100, seed: int = 0) -> float:
    """Mean overlap of maps whose patches have random numbers.

    Args:
        heat_map: whose patches they are; its numbers do not matter.
        mask: (h, w) the thing's pixels.
        n_draws: how many random maps.
        seed: of their numbers.

    Raises:
        GroundingError: as for ``pointing_game``; or ``n_draws`` below 1.
    """
    if n_draws < 1:
        raise GroundingError(f"{n_draws} random maps", allowed="at least 1")
    random = np.random.default_rng(seed)
    shape = heat_map.patches.shape
    draws = [
        overlap_of(heat_map.with_patches(random.random(shape, dtype=np.float32)).values, mask)
        for _ in range(n_draws)
    ]
    return float(np.mean(draws))


def _visible(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heat and mask of the pixels that the model sees, flat."""
    if values.shape != mask.shape or values.ndim != 2:
        raise GroundingError(
            f"heat of shape {values.shape} and a mask of shape {mask.shape}",
            allowed="one shape (h, w), that of the picture",
        )
    seen = ~np.isnan(values)
    heat, thing = values[seen], mask[seen].astype(bool)
    if not thing.any():
        raise GroundingError(
            "no pixel of the thing is seen by the model",
            allowed="a mask with at least one pixel where the heat map is not nan",
        )
    if not np.isfinite(heat).all():
        raise GroundingError("a heat map holds infinite heat")
    return heat, thing
