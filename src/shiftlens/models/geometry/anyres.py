"""Any-resolution pictures: tiles laid side by side, padding cut away, a token ends each row."""

import math
from collections.abc import Sequence

from shiftlens.models.geometry.composing import compose
from shiftlens.models.geometry.evidence import Evidence, Found, Piece
from shiftlens.models.geometry.layout import Box

Size = tuple[int, int]


def any_resolution(e: Evidence) -> Found:
    """Resolutions to choose from, tiles of one size, and a learned token at the end of each row.

    The picture made small comes first, then all tiles as one grid: the tower reads them apart, and
    their patches are put together before the padding is cut away.
    """
    pinpoints = getattr(e.config, "image_grid_pinpoints", None)
    told = e.fact("image_sizes")
    if not pinpoints or told is None or told.numel() != 2 or not e.learned("newline"):
        return None
    vision = e.config.vision_config
    side = int(vision.image_size) // int(vision.patch_size)
    high, wide = (int(one) for one in told.flatten())
    whole = Piece(side, side, tuple(range(side * side)), _first(e), overview=True)
    if e.n == side * side + 1 and len(e.runs) == 1:  # shown small only, as one of several
        return [Piece(side, side, whole.order, whole.box)]
    down, across = _tiles((high, wide), pinpoints, int(vision.image_size))
    canvas = (side * down, side * across)
    cut = _unpadded(canvas, (high, wide))
    rows, cols = _thinned(cut[2:], side, getattr(e.config, "vision_aspect_ratio", ""))
    if e.n != side * side + rows * (cols + 1) or len(e.runs) != 1:
        return f"its {e.n} tokens are not those of a picture of {wide} x {high} pixels in tiles"
    start = side * side
    order = tuple(start + r * (cols + 1) + c for r in range(rows) for c in range(cols))
    box = _within(_canvas(e, down, across, (wide, high)), canvas, cut)
    return [whole, Piece(rows, cols, order, box)]


def _first(e: Evidence) -> Box | None:
    planes = e.main.planes() if e.main is not None and not e.main.flat else []
    return planes[0].box() if planes else None


def _tiles(size: Size, pinpoints: Sequence[Sequence[int]], side: int) -> Size:
    """Rows and columns of tiles that a picture is given: (height, width) as everywhere here."""
    from transformers.image_processing_utils import select_best_resolution

    high, wide = select_best_resolution(size, [tuple(one) for one in pinpoints])
    return high // side, wide // side


def _unpadded(canvas: Size, size: Size) -> tuple[int, int, int, int]:
    """Top, left, rows and columns of what is left of a canvas without its padding.

    A picture of ``size`` fills one side of the canvas; what is over at the other is cut in halves
    of whole patches, so that a part of one may stay.
    """
    (rows, cols), (high, wide) = canvas, size
    if wide / high > cols / rows:
        top = (rows - int(round(high * cols / wide, 7))) // 2
        return top, 0, rows - 2 * top, cols
    left = (cols - int(round(wide * rows / high, 7))) // 2
    return 0, left, rows, cols - 2 * left


def _thinned(grid: Size, side: int, setting: str) -> Size:
    """A grid made smaller where it has more patches than the family allows."""
    most = _allowed(setting)
    if most is None:
        return grid
    ratio = math.sqrt(grid[0] * grid[1] / (most * side**2))
    return (int(grid[0] // ratio), int(grid[1] // ratio)) if ratio > 1.1 else grid


def _allowed(setting: str) -> int | None:
    """How many tiles' worth of patches a setting such as ``anyres_max_9`` allows."""
    _, found, most = str(setting).rpartition("anyres_max_")
    return int(most) if found and most.isdigit() else None


def _canvas(e: Evidence, down: int, across: int, size: Size) -> Box | None:
    """The pixels of the picture under all tiles together."""
    if e.main is None or e.main.flat:
        return None
    planes = [plane for plane in e.main.planes() if plane.seen][1:]
    if len(planes) != down * across or any(plane.box() is None for plane in planes):
        return None
    places = [(at // across, at % across) for at in range(len(planes))]
    found = compose(
        [Piece(1, 1, (at,), planes[at].box(), place) for at, place in enumerate(places)], size
    )
    return None if isinstance(found, str) else found[0].box


def _within(box: Box | None, canvas: Size, cut: tuple[int, int, int, int]) -> Box | None:
    """The part of a box that patches ``cut`` of a canvas cover."""
    if box is None:
        return None
    (rows, cols), (top, left, high, wide) = canvas, cut
    width, height = box[2] - box[0], box[3] - box[1]
    return (
        box[0] + width * left / cols,
        box[1] + height * top / rows,
        box[0] + width * (left + wide) / cols,
        box[1] + height * (top + high) / rows,
    )
