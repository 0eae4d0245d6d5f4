"""``HeatMap``: how much of a concept each place of a picture holds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from shiftlens.models.geometry.layout import Box, Edges, Grid, Layout
from shiftlens.models.geometry.mapping import heat


@dataclass(frozen=True, eq=False)
class HeatMap:
    """How much of a concept each place of a picture holds.

    Attributes:
        sample_id: whose picture.
        concept: which concept.
        values: (h, w) float32 over the picture's pixels; nan where the model sees nothing.
        patches: (rows, cols) float32: the same numbers, one a patch of the finest grid.
        picture: which picture of the sample, from 0.
        edges: of the columns (cols + 1) and of the rows (rows + 1) of patches in pixels; they may
            reach beyond the picture where the family pads it.
        method: how the numbers were made.
    """

    sample_id: str
    concept: int
    values: Float[np.ndarray, "h w"]
    patches: Float[np.ndarray, "rows cols"]
    picture: int
    edges: tuple[Edges, Edges]
    method: str = "projection"

    @property
    def layout(self) -> Layout:
        """The patches as the tokens of a picture, numbered from 0 row by row."""
        rows, cols = self.patches.shape
        return plain_layout((self.values.shape[1], self.values.shape[0]), rows, cols, self.edges)

    def box(self, row: int, col: int) -> Box:
        """Left, top, right, bottom of a patch in pixels; it may reach beyond the picture."""
        across, down = self.edges
        return across[col], down[row], across[col + 1], down[row + 1]

    def ranked(self) -> list[tuple[int, int]]:
        """Rows and columns of the patches that show pixels, hottest first, ties row by row."""
        order = np.argsort(-self.patches.ravel(), kind="stable").tolist()
        places = [divmod(at, self.patches.shape[1]) for at in order]
        height, width = self.values.shape
        return [at for at in places if shows_pixels(self.box(*at), (width, height))]

    def with_patches(self, patches: Float[np.ndarray, "rows cols"]) -> "HeatMap":
        """The same picture with other numbers in its patches."""
        given = np.asarray(patches, dtype=np.float32)
        return replace(self, patches=given, values=heat(self.layout, given.ravel().tolist()))


def laid_out(
    sample_id: str,
    concept: int,
    patches: Float[np.ndarray, "rows cols"],
    picture: int,
    edges: tuple[Edges, Edges],
    size: tuple[int, int],
    method: str,
) -> HeatMap:
    """A heat map of numbers of patches.

    Args:
        sample_id, concept, patches, picture, edges, method: see ``HeatMap``.
        size: width and height of the picture.
    """
    given = np.asarray(patches, dtype=np.float32)
    rows, cols = given.shape
    layout = plain_layout(size, rows, cols, edges)
    values = heat(layout, given.ravel().tolist(), name=sample_id)
    return HeatMap(sample_id, concept, values, given, picture, edges, method)


def plain_layout(
    size: tuple[int, int], rows: int, cols: int, edges: tuple[Sequence[float], Sequence[float]]
) -> Layout:
    """A layout whose tokens are the patches of a grid and nothing else, row by row."""
    numbers = tuple(range(rows * cols))
    lines = (tuple(edges[0]), tuple(edges[1]))
    box = (lines[0][0], lines[1][0], lines[0][-1], lines[1][-1])
    return Layout(numbers, size, Grid(rows, cols, numbers, box, lines))


def pixels_of(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels whose middles lie in a box: left, top, right, bottom, the last two beyond them."""
    width, height = size
    left, top, right, bottom = (int(np.ceil(edge - 0.5)) for edge in box)
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def shows_pixels(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box holds the middle of any pixel of a picture."""
    left, top, right, bottom = pixels_of(box, size)
    return left < right and top < bottom
