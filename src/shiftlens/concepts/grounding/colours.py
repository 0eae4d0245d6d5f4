"""Colours of heat: one scale that the colour-blind read too, and grey stripes where nothing is.

From dark blue over grey to light yellow, the lightness rises all the way: printed in grey the order
stays, and blue against yellow is told apart with every common colour-vision deficiency.
"""

import numpy as np
from jaxtyping import Float, UInt8

from shiftlens.core.errors import GroundingError

_STOPS = np.array(
    [
        (10, 24, 78),
        (44, 70, 132),
        (104, 112, 138),
        (166, 152, 112),
        (222, 190, 84),
        (255, 238, 138),
    ],
    dtype=np.float64,
)
_STRIPE, _GAP = 150, 205  # two greys
_PERIOD = 8  # pixels from stripe to stripe

Limits = tuple[float, float]


def limits_of(*values: Float[np.ndarray, "..."]) -> Limits:
    """The smallest and the largest number of some heat maps, nan left out.

    Raises:
        GroundingError: there is no number at all.
    """
    seen = [one[~np.isnan(one)] for one in values]
    whole = np.concatenate(seen) if seen else np.empty(0)
    if not len(whole):
        raise GroundingError("a heat map without a single number has no scale")
    return float(whole.min()), float(whole.max())


def coloured(values: Float[np.ndarray, "h w"], limits: Limits) -> UInt8[np.ndarray, "h w 3"]:
    """Heat as colours; grey stripes where it is nan.

    Args:
        values: (h, w).
        limits: what is darkest and what is lightest; what lies beyond them is cut off. Where both
            are equal, everything has the middle colour.

    Raises:
        GroundingError: limits that are not finite, or the wrong way round.
    """
    low, high = limits
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise GroundingError(f"the limits {limits} of a scale", allowed="finite, low <= high")
    span = high - low
    shares = (values.astype(np.float64) - low) / span if span > 0 else np.full(values.shape, 0.5)
    places = np.nan_to_num(shares).clip(0, 1)
    stops = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(places, stops, _STOPS[:, at]) for at in range(3)]
    pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    empty = np.isnan(values)
    pixels[empty] = stripes(*values.shape)[empty]
    return pixels


def stripes(height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Grey stripes from lower left to upper right: nothing is here."""
    down, across = np.mgrid[:height, :width]
    grey = np.where((down + across) % _PERIOD < _PERIOD // 2, _STRIPE, _GAP).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)
