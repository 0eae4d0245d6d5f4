"""Selections in the prompt: pictures, single patches, and text by its role."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from shiftlens.activations.selections.selection import (
    Alignment,
    Missed,
    PromptSelection,
    aligned,
)

if TYPE_CHECKING:
    from shiftlens.activations.places import Places


@dataclass(frozen=True)
class ImageTokens(PromptSelection):
    """Every token of a picture, or of all pictures; one state a token.

    Attributes:
        number: which picture of the sample, from 0; ``None`` for all of them.
        alignment: the state that has read the token, or the one before it.
    """

    kind: ClassVar[str] = "image"
    number: int | None = None
    alignment: Alignment = "read"

    def columns(self, places: "Places") -> list[tuple[int, str]]:
        """The picture's columns; where its patches lie, each is named by row and column."""
        found = places.image if self.number is None else places.layout(self.number).columns
        if not found:
            raise Missed
        names = {} if self.number is None else _names(places, self.number)
        kept = aligned(found, self.alignment)
        return [(at, names.get(column, "")) for at, column in zip(kept, found, strict=True)]


@dataclass(frozen=True)
class PatchToken(PromptSelection):
    """One patch of one picture.

    Attributes:
        number: which picture of the sample, from 0.
        row, col: of the finest grid of patches, from 0; negative ones count from the end.
        alignment: the state that has read the token, or the one before it.
    """

    kind: ClassVar[str] = "patch"
    number: int
    row: int
    col: int
    alignment: Alignment = "read"

    def columns(self, places: "Places") -> list[tuple[int, str]]:
        """The patch's column."""
        layout = places.layout(self.number)
        column = layout.column(self.row, self.col, places.name)
        grid = layout.require_grid(places.name)
        name = f"image {self.number} patch {self.row % grid.rows},{self.col % grid.cols}"
        return [(aligned([column], self.alignment)[0], name)]


@dataclass(frozen=True)
class TextTokens(PromptSelection):
    """Every token of the prompt's text; one state a token.

    Attributes:
        role: ``prompt`` for all of it, with the template's own tokens; ``system`` for the system
            prompt; ``user`` for what the user says.
        alignment: the state that has read the token, or the one before it.
    """

    kind: ClassVar[str] = "prompt"
    role: str = "prompt"
    alignment: Alignment = "read"

    def columns(self, places: "Places") -> list[tuple[int, str]]:
        """The text's columns."""
        roles = {"prompt": "text", "system": "system", "user": "user"}
        found: tuple[int, ...] = getattr(places, roles[self.role])
        if not found:
            raise Missed
        return [(at, "") for at in aligned(found, self.alignment) if at >= 0]


def _names(places: "Places", number: int) -> dict[int, str]:
    """What each column of a picture is called, where its patches have places."""
    layout = places.layout(number)
    if layout.grid is None:
        return {}
    grid = layout.grid
    return {
        column: f"image {number} patch {at // grid.cols},{at % grid.cols}"
        for at, column in enumerate(grid.columns)
    }
