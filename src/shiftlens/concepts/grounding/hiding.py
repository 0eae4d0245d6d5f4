"""Parts of a picture hidden: filled with its mean colour, or blurred beyond recognition."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from shiftlens.concepts.grounding.heat_map import pixels_of
from shiftlens.core.errors import GroundingError
from shiftlens.models.geometry.layout import Box

if TYPE_CHECKING:
    from PIL.Image import Image

Fill = Literal["mean", "blur"]


def hidden(image: "Image", boxes: Sequence[Box], *, fill: Fill = "mean") -> "Image":
    """A copy of a picture in which some rectangles show nothing of it.

    Args:
        image: RGB; not changed.
        boxes: left, top, right, bottom in pixels; a pixel is hidden if its middle lies in one.
        fill: ``mean``: the mean colour of the whole picture. ``blur``: the picture blurred by a
            Gaussian as wide as the largest box, which brings in no edges and no new colour.

    Raises:
        GroundingError: unknown fill.
    """
    from PIL import Image

    check_fill(fill)
    pixels = np.array(image)
    cover = _cover(image, boxes, fill)
    for box in boxes:
        left, top, right, bottom = pixels_of(box, image.size)
        pixels[top:bottom, left:right] = cover[top:bottom, left:right]
    return Image.fromarray(pixels)


def check_fill(fill: str) -> None:
    """Refuse an unknown fill.

    Raises:
        GroundingError: neither ``mean`` nor ``blur``.
    """
    if fill not in get_args(Fill):
        raise GroundingError(f"unknown fill {fill!r}", allowed=", ".join(get_args(Fill)))


def _cover(image: "Image", boxes: Sequence[Box], fill: Fill) -> np.ndarray:
    from PIL import ImageFilter

    if fill == "blur":
        sides = [max(right - left, bottom - top) for left, top, right, bottom in boxes]
        return np.asarray(image.filter(ImageFilter.GaussianBlur(max(sides, default=1.0))))
    pixels = np.asarray(image)
    colour = pixels.reshape(-1, pixels.shape[-1]).mean(axis=0).round().astype(np.uint8)
    return np.broadcast_to(colour, pixels.shape)
