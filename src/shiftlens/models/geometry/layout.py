"""The tokens of one picture in a prompt, and the pixels that each of them stands for."""

from dataclasses import dataclass

from shiftlens.core.errors import SiteError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture as it was opened."""

Edges = tuple[float, ...]
"""Where columns, or rows, of patches begin, and where the last one ends; rising."""


@dataclass(frozen=True)
class Grid:
    """Patches in rows and columns over a rectangle of a picture.

    Attributes:
        rows: how many rows of patches.
        cols: how many patches a row has.
        columns: (rows * cols) their columns in the prompt, row by row.
        box: the rectangle; it may reach beyond the picture where the family pads, and leave parts
            of it out where the family crops. ``None`` where the picture's size is not known.
        edges: of columns and of rows in pixels, where patches are not all of one size; without
            them every patch has its equal share of the box.
    """

    rows: int
    cols: int
    columns: tuple[int, ...]
    box: Box | None
    edges: tuple[Edges, Edges] | None = None

    def patch(self, row: int, col: int) -> Box:
        """The pixels of a patch.

        Args:
            row, col: from 0.

        Raises:
            SiteError: the size of the picture is not known.
        """
        across, down = self.lines()
        return across[col], down[row], across[col + 1], down[row + 1]

    def lines(self) -> tuple[Edges, Edges]:
        """Edges of the columns (cols + 1) and of the rows (rows + 1) in pixels.

        Raises:
            SiteError: the size of the picture is not known.
        """
        if self.edges is not None:
            return self.edges
        if self.box is None:
            raise SiteError(
                "it is not known how large the picture was, and so not where its patches lie",
                allowed="inputs that shiftlens encoded: they hold the sizes of their pictures",
            )
        left, top, right, bottom = self.box
        return _even(left, right, self.cols), _even(top, bottom, self.rows)


@dataclass(frozen=True)
class Layout:
    """One picture of a sample as the language model sees it.

    Attributes:
        columns: of all its tokens in the prompt, in their order; tokens that end a row of patches
            are among them where the family writes them with the picture's own token.
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
        grid = self.require_grid(name)
        if not (-grid.rows <= row < grid.rows and -grid.cols <= col < grid.cols):
            raise SiteError(
                f"patch ({row}, {col}) is outside a picture of {name}",
                allowed=f"{grid.rows} rows and {grid.cols} columns, counted from 0",
            )
        return grid.columns[(row % grid.rows) * grid.cols + col % grid.cols]

    def require_grid(self, name: str) -> Grid:
        """The grid.

        Args:
            name: what the user calls the picture's owner, for the message.

        Raises:
            SiteError: no patch has a place; the message says why.
        """
        if self.grid is None:
            raise SiteError(
                f"the patches of {name} have no place in the picture: {self.reason}",
                allowed="tokens.image(k), which takes all of the picture's tokens",
            )
        return self.grid


def _even(first: float, last: float, n: int) -> Edges:
    return tuple(first + (last - first) * number / n for number in range(n + 1))
