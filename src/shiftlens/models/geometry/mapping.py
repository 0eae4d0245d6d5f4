"""From pixels to tokens, and from tokens back to pixels."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from shiftlens.core.errors import SiteError
from shiftlens.models.geometry.layout import Box, Edges, Grid, Layout


def region(
    layout: Layout, box: Box, *, share: float = 0.5, overview: bool = False, name: str = "it"
) -> tuple[int, ...]:
    """The tokens of a rectangle of a picture.

    Args:
        layout: of the picture.
        box: left, top, right, bottom in its pixels.
        share: how much of a patch's area must lie in the box, above 0 up to 1; a patch that only
            touches it never counts.
        overview: take the patches of the picture made small instead of the finest ones.
        name: what the user calls the picture's owner, for messages.

    Returns:
        columns of the prompt, row by row.

    Raises:
        SiteError: the box is empty, no patch has a place, or none lies in the box by that share.
    """
    left, top, right, bottom = box
    if not (left < right and top < bottom):
        raise SiteError(f"the box {box} is empty", allowed="left < right and top < bottom")
    if not 0 < share <= 1:
        raise SiteError(f"a share of {share} of a patch", allowed="above 0, up to 1")
    grid = _grid(layout, name, overview=overview)
    across, down = grid.lines()
    inside = np.outer(_overlap(down, top, bottom), _overlap(across, left, right))
    # A hair's breadth is allowed for: edges are computed.
    chosen = np.flatnonzero(inside.ravel() >= share - 1e-9)
    if not len(chosen):
        raise SiteError(
            f"no patch of {name} lies in the box {box} by a share of {share}",
            allowed=f"boxes of pixels within {tuple(round(edge, 1) for edge in _bounds(grid))}",
            remedy="take a larger box, or a smaller share",
        )
    return tuple(grid.columns[at] for at in chosen.tolist())


def heat(
    layout: Layout,
    values: Sequence[float] | Float[np.ndarray, " n"],
    *,
    overview: bool = False,
    name: str = "it",
) -> Float[np.ndarray, "h w"]:
    """Values of a picture's tokens, laid back on its pixels.

    Every pixel has the value of the patch that holds its middle. What the family pads is cut away,
    and pixels that no patch shows, because the family crops them off, are nan.

    Args:
        layout: of the picture.
        values: one for each of ``layout.columns``, in their order; those of tokens that end a row
            are not used.
        overview: lay out those of the picture made small instead of the finest ones.
        name: what the user calls the picture's owner, for messages.

    Returns:
        (height, width) of the picture, float32.

    Raises:
        SiteError: no patch has a place, or there are not as many values as tokens.
    """
    grid = _grid(layout, name, overview=overview)
    across, down = grid.lines()
    given = np.asarray(values, dtype=np.float32)
    if given.shape != (len(layout.columns),):
        raise SiteError(
            f"values of shape {given.shape} for the {len(layout.columns)} tokens of a picture",
            allowed="one for each of layout.columns",
        )
    assert layout.size is not None  # edges in pixels are known, so the size is
    numbers = {column: at for at, column in enumerate(layout.columns)}
    patches = given[[numbers[column] for column in grid.columns]].reshape(grid.rows, grid.cols)
    width, height = layout.size
    cols, rows = _holding(across, width), _holding(down, height)
    shown = patches[np.ix_(rows.clip(0, grid.rows - 1), cols.clip(0, grid.cols - 1))]
    outside = np.logical_or.outer(
        (rows < 0) | (rows >= grid.rows), (cols < 0) | (cols >= grid.cols)
    )
    shown[outside] = np.nan
    return shown


def _grid(layout: Layout, name: str, *, overview: bool) -> Grid:
    if not overview:
        return layout.require_grid(name)
    if layout.overview is None:
        raise SiteError(
            f"{name} is not shown small beside its tiles", allowed="overview=False: the only grid"
        )
    return layout.overview


def _overlap(edges: Edges, first: float, last: float) -> Float[np.ndarray, " n"]:
    """For each step between edges the share of it that lies between two places."""
    return np.array([max(0.0, min(b, last) - max(a, first)) / (b - a) for a, b in pairwise(edges)])


def _holding(edges: Edges, side: int) -> np.ndarray:
    """For each pixel of a side the step that holds its middle; -1 and n beyond both ends."""
    return np.searchsorted(np.asarray(edges), np.arange(side) + 0.5, side="right") - 1


def _bounds(grid: Grid) -> Box:
    across, down = grid.lines()
    return across[0], down[0], across[-1], down[-1]
