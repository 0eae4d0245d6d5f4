"""From whatever a picture file holds to upright pixels in RGB."""

import math
from typing import TYPE_CHECKING, Any

from PIL import ExifTags, Image

if TYPE_CHECKING:
    import numpy as np

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _MEANING = 258, 262  # TIFF tags: how many bits a value has, and what its ends stand for
_WHITE_IS_ZERO = 0


def as_rgb(image: Image.Image) -> Image.Image:
    """A decoded picture as a viewer would show it, in RGB, without what else its file said.

    Transparency is laid over white. Grey values of 16 bits keep their upper eight, as Pillow does
    with colours of 16 bits; those of 12 bits likewise. Where a file does not say what is white (32
    bits, floating point), numbers within 0..1 are shares of white, and of all others the smallest
    is black and the largest white.

    Args:
        image: as ``Image.open`` gave it, loaded.

    Raises:
        ValueError: Pillow cannot turn its colours into RGB, or it holds NaN or infinity.
    """
    turn = _TURNS.get(_orientation(image))
    if image.mode == "F" or image.mode.startswith("I"):
        flat = Image.fromarray(_eight_bits(image))
    elif image.has_transparency_data:
        flat = _over_white(image)
    else:
        flat = image
    found = flat.convert("RGB") if turn is None else flat.convert("RGB").transpose(turn)
    found.info = {}  # an orientation that stayed would be applied again by who opens it next
    return found


def _orientation(image: Image.Image) -> int:
    """EXIF's number for how the picture is to be turned; 1 where that cannot be read."""
    try:
        found: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1  # viewers show such a picture as it is stored, and so do we
    return found if isinstance(found, int) else 1


def _over_white(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)


def _eight_bits(image: Image.Image) -> "np.ndarray":
    """(height, width) grey values in 0..255."""
    import numpy as np

    values = np.asarray(image)
    tags: Any = getattr(image, "tag_v2", {})
    if values.dtype.kind == "u" or image.format in ("PNG", "PPM"):
        bits = int(tags.get(_BITS, (16,))[0])  # of the 16 that each value takes
        grey = (values >> (bits - 8)).clip(0, 255).astype(np.uint8)
    else:
        grey = _between_its_ends(values)
    return 255 - grey if tags.get(_MEANING) == _WHITE_IS_ZERO else grey


def _between_its_ends(values: "np.ndarray") -> "np.ndarray":
    import numpy as np

    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it holds NaN or infinity")
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (values.astype(np.float64) - low) * (255 / ((high - low) or 1.0))
    return np.rint(scaled).astype(np.uint8)
