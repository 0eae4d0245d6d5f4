"""The tokens of a picture, and those of a part of it."""

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Bool
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.models.geometry.finding import layouts_from
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.picture_tokens import token_of
from shiftlens.models.prompts import Inputs
from shiftlens.steering.calls import Call
from shiftlens.steering.scopes.scope import Scope


@dataclass(frozen=True)
class Image(Scope):
    """The tokens of every picture of a sample, or of one.

    Attributes:
        index: which picture of each sample, counted from 0; ``None`` for all of them.
    """

    index: int | None = None
    from_prompt: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        if self.index is not None and self.index < 0:
            raise SteeringError(f"picture {self.index}", allowed="pictures are counted from 0")

    def mask(self, call: Call) -> Bool[Tensor, "b t"]:
        """The picture's columns.

        Raises:
            SteeringError: the family has no picture tokens, or no sample has that picture.
        """
        chosen = torch.zeros(call.rows, call.width, dtype=torch.bool)
        if call.first_column < call.prompt_width:
            if self.index is None:
                ids = _prompts(call)
                chosen[:, : ids.shape[1]] = (ids == token_of(call.model)).to(chosen.device)
            else:
                for row, pictures in enumerate(_layouts(call)):
                    if self.index < len(pictures):
                        chosen[row, list(pictures[self.index].columns)] = True
        return chosen.to(call.device) & call.real

    def idles(self, call: Call) -> bool:
        """Pictures lie in the prompt."""
        return call.decodes

    def __str__(self) -> str:
        return "image" if self.index is None else f"image:{self.index}"


@dataclass(frozen=True)
class Patches(Scope):
    """The tokens of a rectangle of a picture.

    Attributes:
        box: left, top, right, bottom as shares of width and height; a patch belongs to it if its
            centre does. Where tiles come with the whole picture made small, patches of both do.
        index: which picture of each sample, counted from 0.
    """

    box: tuple[float, float, float, float]
    index: int = 0
    from_prompt: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise SteeringError(
                f"the box {self.box} is empty or leaves the picture",
                allowed="0 <= left < right <= 1 and 0 <= top < bottom <= 1",
            )
        if self.index < 0:
            raise SteeringError(f"picture {self.index}", allowed="pictures are counted from 0")

    def mask(self, call: Call) -> Bool[Tensor, "b t"]:
        """The rectangle's columns.

        Raises:
            SteeringError: the family does not lay its picture tokens out in a known grid.
        """
        chosen = torch.zeros(call.rows, call.width, dtype=torch.bool)
        if call.first_column < call.prompt_width:
            for row, pictures in enumerate(_layouts(call)):
                if self.index < len(pictures):
                    chosen[row, self._inside(call, pictures[self.index])] = True
        return chosen.to(call.device) & call.real

    def _inside(self, call: Call, picture: Layout) -> list[int]:
        """Columns of patches whose centres are in the box, of the whole made small among them."""
        if picture.grid is None:
            raise SteeringError(
                f"the {len(picture.columns)} tokens of a picture of {call.model.name} lie in no "
                f"known grid: {picture.reason}",
                remedy='steer the whole picture instead: scope "image"; or, where pictures differ '
                "in size, use model.generate in place of model.hf.generate",
            )
        grids = [picture.grid, *([] if picture.overview is None else [picture.overview])]
        return [column for grid in grids for column in self._of(grid, picture.size)]

    def _of(self, grid: Grid, size: tuple[int, int] | None) -> list[int]:
        middles = _middles(grid, size)
        left, top, right, bottom = self.box
        return [
            grid.columns[y * grid.cols + x]
            for y, down in enumerate(middles[1])
            for x, across in enumerate(middles[0])
            if left <= across < right and top <= down < bottom
        ]

    def idles(self, call: Call) -> bool:
        """Pictures lie in the prompt."""
        return call.decodes

    def __str__(self) -> str:
        which = f"@{self.index}" if self.index else ""
        return f"patches{which}:{','.join(f'{edge:g}' for edge in self.box)}"


def image(index: int | None = None) -> Image:
    """The tokens of all pictures of a sample, or of the one with that number."""
    return Image(index)


def patches(left: float, top: float, right: float, bottom: float, *, picture: int = 0) -> Patches:
    """The tokens of a rectangle, given as shares of the picture's width and height."""
    return Patches((left, top, right, bottom), picture)


def _middles(grid: Grid, size: tuple[int, int] | None) -> tuple[list[float], list[float]]:
    """Centres of a grid's columns and rows, as shares of the picture's width and height.

    Where the picture's size is not known, it is taken to be what the grid covers.
    """
    if size is None or grid.box is None:
        across, down = ([(at + 0.5) / n for at in range(n)] for n in (grid.cols, grid.rows))
        return across, down
    across, down = (
        [(first + last) / 2 / side for first, last in pairwise(edges)]
        for edges, side in zip(grid.lines(), size, strict=True)
    )
    return across, down


def _prompts(call: Call) -> Tensor:
    if call.ids is None:
        raise SteeringError(
            "pictures cannot be found: the model was called with embeddings",
            remedy="call it with input_ids, or choose another scope",
        )
    return call.ids[:, : call.prompt_width]


def _layouts(call: Call) -> list[list[Layout]]:
    """The pictures of the prompts; their sizes are known where shiftlens encoded them."""
    ids, own = _prompts(call), call.model.tenancy.running
    token_of(call.model)  # says so where the family has none
    told = isinstance(own, Inputs) and torch.equal(own.tensors["input_ids"][:, : ids.shape[1]], ids)
    return layouts_from(call.model, ids, call.pictures, sizes=own.sizes if told else ())
