"""Tiles into one picture: which of them are beside each other, and which shows all of it."""

from collections.abc import Sequence
from itertools import pairwise

from shiftlens.models.geometry.evidence import Piece
from shiftlens.models.geometry.layout import Box, Edges, Grid

Size = tuple[int, int]
# Places are read from brightness in 255 steps, and tiles are small: edges agree up to this share.
_CLOSE = 0.03


def compose(pieces: Sequence[Piece], size: Size | None) -> tuple[Grid, Grid | None] | str:
    """The finest grid and the overview of a picture's pieces; their columns are numbers of tokens.

    Args:
        pieces: all of them, in the order of their tokens.
        size: width and height of the picture, where known.

    Returns:
        grid and overview, or why there are none.
    """
    if len(pieces) == 1:
        return _grid(pieces[0], size), None
    overview = _overview(pieces, size)
    tiles = [piece for piece in pieces if piece is not overview]
    small = None if overview is None else _grid(overview, size)
    if len(tiles) == 1:
        return _grid(tiles[0], size), small
    if len({(tile.rows, tile.cols) for tile in tiles}) > 1:
        return "its tiles have grids of different sizes"
    shape = _arrangement(tiles, size)
    if shape is None:
        return (
            f"it is not known how its {len(tiles)} tiles lie"
            if size is None
            else f"its {len(tiles)} tiles do not cover it in rows and columns"
        )
    return _joined(tiles, shape, size), small


def _grid(piece: Piece, size: Size | None) -> Grid:
    return Grid(piece.rows, piece.cols, piece.order, _tidy(piece.box, size))


def _tidy(box: Box | None, size: Size | None) -> Box | None:
    """A box whose edges lie on the picture's where they are as good as there."""
    if box is None or size is None:
        return box
    left, right = (_snap(edge, size[0]) for edge in (box[0], box[2]))
    top, bottom = (_snap(edge, size[1]) for edge in (box[1], box[3]))
    return left, top, right, bottom


def _snap(edge: float, side: int) -> float:
    return next((float(b) for b in (0, side) if abs(edge - b) <= 0.005 * side + 0.02), edge)


def _overview(pieces: Sequence[Piece], size: Size | None) -> Piece | None:
    named = [piece for piece in pieces if piece.overview]
    if named:
        return named[0] if len(named) == 1 else None
    whole = [piece for piece in pieces if _covers(piece.box, size)]
    # Of two that show everything the finer one, else the later one, is the grid itself.
    if len(whole) == 2 == len(pieces):
        return min(whole, key=lambda piece: piece.rows * piece.cols)
    return whole[0] if len(whole) == 1 else None


def _covers(box: Box | None, size: Size | None) -> bool:
    if box is None or size is None:
        return False
    (width, height), (left, top, right, bottom) = size, box
    across, down = _CLOSE * width, _CLOSE * height
    reaches = left <= across and right >= width - across
    return reaches and top <= down and bottom >= height - down


def _arrangement(tiles: Sequence[Piece], size: Size | None) -> tuple[int, int] | None:
    """Rows and columns of tiles that come row by row; ``None`` where that is not what they do."""
    n = len(tiles)
    shapes = [(rows, n // rows) for rows in range(1, n + 1) if n % rows == 0]
    fitting = [shape for shape in shapes if _fits(tiles, shape, size)]
    return fitting[0] if len(fitting) == 1 else None


def _fits(tiles: Sequence[Piece], shape: tuple[int, int], size: Size | None) -> bool:
    rows, cols = shape
    if all(tile.place is not None for tile in tiles):
        told = [(at // cols, at % cols) for at in range(rows * cols)]
        if [tile.place for tile in tiles] != told:
            return False
        if size is None:
            return True
    return size is not None and _edges(tiles, shape, size) is not None


def _edges(
    tiles: Sequence[Piece], shape: tuple[int, int], size: Size
) -> tuple[Edges, Edges] | None:
    """Edges of the tiles' columns and rows in pixels, where neighbours meet."""
    rows, cols = shape
    boxes = [tile.box for tile in tiles]
    across = _meeting([[boxes[r * cols + c] for r in range(rows)] for c in range(cols)], 0, size[0])
    down = _meeting([[boxes[r * cols + c] for c in range(cols)] for r in range(rows)], 1, size[1])
    return None if across is None or down is None else (across, down)


def _meeting(groups: Sequence[Sequence[Box | None]], axis: int, side: int) -> Edges | None:
    """Edges along an axis: boxes of a group share both of theirs, and each group begins where the
    one before ends."""
    close = _CLOSE * side
    spans: list[tuple[float, float]] = []
    for group in groups:
        known = [(box[axis], box[axis + 2]) for box in group if box is not None]
        if not known:
            return None
        for ends in zip(*known, strict=True):
            if max(ends) - min(ends) > close:
                return None
        first, last = (sum(ends) / len(ends) for ends in zip(*known, strict=True))
        spans.append((first, last))
    inner = [(before[1], after[0]) for before, after in pairwise(spans)]
    if any(abs(end - start) > close for end, start in inner):
        return None
    middle = [(end + start) / 2 for end, start in inner]
    return (_snap(spans[0][0], side), *middle, _snap(spans[-1][1], side))


def _joined(tiles: Sequence[Piece], shape: tuple[int, int], size: Size | None) -> Grid:
    rows, cols = shape
    high, wide = tiles[0].rows, tiles[0].cols
    order = tuple(
        tiles[r // high * cols + c // wide].order[r % high * wide + c % wide]
        for r in range(rows * high)
        for c in range(cols * wide)
    )
    found = None if size is None else _edges(tiles, shape, size)
    if found is None:
        return Grid(rows * high, cols * wide, order, None)
    across, down = (_divided(e, n) for e, n in zip(found, (wide, high), strict=True))
    box = (across[0], down[0], across[-1], down[-1])
    return Grid(rows * high, cols * wide, order, box, (across, down))


def _divided(edges: Edges, n: int) -> Edges:
    steps = [
        start + (end - start) * part / n for start, end in pairwise(edges) for part in range(n)
    ]
    return (*steps, edges[-1])
