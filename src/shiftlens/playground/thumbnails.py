"""Small pictures as text, so that a page needs no file of this machine."""

import base64
import io
from typing import TYPE_CHECKING

import shiftlens as sl
from shiftlens.data.images import open_image

if TYPE_CHECKING:
    from PIL.Image import Image


def data_uri(picture: "Image", edge: int, quality: int = 82) -> str:
    """A picture as a ``data:`` address, its longer side at most ``edge`` pixels."""
    small = picture.convert("RGB")
    small.thumbnail((edge, edge))
    kept = io.BytesIO()
    small.save(kept, "WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(kept.getvalue()).decode()}"


class Thumbnails:
    """Small pictures of a run, made once each.

    Args:
        edge: pixels of the longer side.
    """

    def __init__(self, edge: int = 144) -> None:
        self._edge = edge
        self._made: dict[str, str | None] = {}

    def of(self, path: str) -> str | None:
        """The picture at a path as a ``data:`` address; ``None`` where it cannot be read."""
        if path not in self._made:
            try:
                self._made[path] = data_uri(open_image(path), self._edge)
            except (sl.ShiftLensError, OSError):  # its place says that it is missing
                self._made[path] = None
        return self._made[path]
