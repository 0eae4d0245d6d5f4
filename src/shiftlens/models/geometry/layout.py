"""The tokens of one picture in a prompt, and the pixels that each of them stands for."""

from dataclasses import dataclass

from shiftlens.core.errors import SiteError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture as it was opened."""


@dataclass(frozen=True)
class Grid:
    """Patches in rows and columns over a rectangle of a picture.

    Attributes:
        rows: how many rows of patches.
        cols: how many patches a row has.
        columns: (rows * cols) their columns in the prompt, row by row.
        box: the rectangle; it may reach beyond the picture where the family pads.
    """

    rows: int
    cols: int
    columns: tuple[int, ...]
    box: Box

    def patch(self, row: int, col: int) -> Box:
        """The pixels of a patch."""
        left, top, right, bottom = self.box
        wide, high = (right - left) / self.cols, (bottom - top) / self.rows
        return (
            left + col * wide,
            top + row * high,
            left + (col + 1) * wide,
            top + (row + 1) * high,
        )


@dataclass(frozen=True)
class Layout:
    """One picture of a sample as the language model sees it.

    Attributes:
        columns: of all its tokens in the prompt, in their order; tokens that only end a row of
            patches are among them.
        size: width and height of the picture in pixels, as it was opened.
        grid: the finest grid that covers the picture; tiles are composed into it. ``None`` where
            the family has none.
        overview: the grid of the whole picture made small, where tiles come with one.
        reason: why there is no grid, for the message.
    """

    columns: tuple[int, ...]
    size: tuple[int, int] | None
    grid: Grid | None
    overview: Grid | None = None
    reason: str = ""

    def column(self, row: int, col: int, name: str) -> int:
        """The column of a patch in the prompt.

        Args:
            row, col: of the finest grid, from 0; negative ones count from the end.
            name: what the user calls the picture's owner, for the message.

        Raises:
            SiteError: there is no such patch, or no patch of this family has a place.
        """
        if self.grid is None:
            raise SiteError(
                f"the patches of {name} have no place in the picture: {self.reason}",
                allowed="tokens.image(k), which takes all of the picture's tokens",
            )
        grid = self.grid
        if not (-grid.rows <= row < grid.rows and -grid.cols <= col < grid.cols):
            raise SiteError(
                f"patch ({row}, {col}) is outside a picture of {name}",
                allowed=f"{grid.rows} rows and {grid.cols} columns, counted from 0",
            )
        return grid.columns[(row % grid.rows) * grid.cols + col % grid.cols]
