"""Heat maps of a document as a shade over a small picture: bright where the concept is."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

_DARKEST = 205  # of 255: what does not matter can still be made out
_SHADE = (8, 12, 18)


def shade(levels: Sequence[Sequence[int]]) -> str | None:
    """A see-through picture, as a data URI, that darkens everything but what matters.

    Args:
        levels: rows of whole percents over the whole picture, 100 where most of the concept is
            lost when it is hidden.

    Returns:
        ``None`` where nothing is lost anywhere, or the rows are not all equally long.
    """
    width = len(levels[0]) if levels else 0
    if not width or any(len(row) != width for row in levels) or not any(map(any, levels)):
        return None
    image = Image.new("RGBA", (width, len(levels)))
    image.putdata([(*_SHADE, _opacity(level)) for row in levels for level in row])
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _opacity(level: int) -> int:
    return round(_DARKEST * (1 - min(100, max(0, level)) / 100))
