"""The tokens of a picture, and those of a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from shiftlens.core.errors import SteeringError
from shiftlens.models.picture_tokens import Picture, pictures_of
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
            for row, pictures in enumerate(_pictures(call)):
                for number, picture in enumerate(pictures):
                    if self.index in (None, number):
                        chosen[row, list(picture.columns)] = True
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
            centre does.
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
            for row, pictures in enumerate(_pictures(call)):
                if self.index < len(pictures):
                    chosen[row, self._inside(call, pictures[self.index])] = True
        return chosen.to(call.device) & call.real

    def _inside(self, call: Call, picture: Picture) -> list[int]:
        if picture.grid is None:
            raise SteeringError(
                f"the {len(picture.columns)} tokens of a picture of {call.model.name} lie in no "
                "known grid",
                remedy='steer the whole picture instead: scope "image"; or, where pictures differ '
                "in size, use model.generate in place of model.hf.generate",
            )
        rows, columns = picture.grid
        left, top, right, bottom = self.box
        return [
            picture.columns[y * columns + x]
            for y in range(rows)
            for x in range(columns)
            if left <= (x + 0.5) / columns < right and top <= (y + 0.5) / rows < bottom
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


def _pictures(call: Call) -> Sequence[Sequence[Picture]]:
    if call.ids is None:
        raise SteeringError(
            "pictures cannot be found: the model was called with embeddings",
            remedy="call it with input_ids, or choose another scope",
        )
    return pictures_of(call.model, call.ids[:, : call.prompt_width], call.pictures)
