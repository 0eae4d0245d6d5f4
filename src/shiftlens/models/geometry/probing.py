"""Where the pixels that a processor hands on come from: asked of the processor itself.

Families resize, crop, pad, cut and flatten pictures in as many ways as there are processors. What
they do depends on the size of a picture and not on what it shows, so it can be seen: the processor
is given four pictures of that size, a black one, a white one, one that grows brighter to the right
and one that grows brighter downwards. A number of its output that is the same for black and white
is padding; any other tells by its brightness which column and which row of the picture it is of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from shiftlens.models.geometry.layout import Box
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, process

if TYPE_CHECKING:
    from PIL.Image import Image

_CHANNELS = 3
# Brightness is whole numbers of 0..255, so a place is known to this share of the picture's side.
_LEVEL = 1 / 255
_TEXT = "x"


@dataclass(frozen=True)
class Line:
    """Places along one side of the picture as a straight line over those of the output.

    Attributes:
        slope: pixels of the picture for one step of the output.
        start: the picture's pixel at the output's edge, where its first step begins.
    """

    slope: float
    start: float

    def at(self, place: float) -> float:
        """The picture's pixel at a place of the output; 0 is its edge."""
        return self.start + self.slope * place


@dataclass(frozen=True)
class Plane:
    """A piece of output that is a picture itself: a tile, or the whole picture made small.

    Attributes:
        height, width: in its own pixels.
        across, down: where its columns and rows come from; ``None`` where it shows too little of
            the picture to tell.
        seen: whether it shows anything of the picture at all.
    """

    height: int
    width: int
    across: Line | None
    down: Line | None
    seen: bool = True

    def box(self, height: float | None = None, width: float | None = None) -> Box | None:
        """The picture's pixels that it shows, or that its upper left part of that size shows."""
        if self.across is None or self.down is None:
            return None
        right, bottom = self.across.at(width or self.width), self.down.at(height or self.height)
        return self.across.at(0), self.down.at(0), right, bottom


@dataclass(frozen=True, eq=False)
class Pixels:
    """A tensor of pictures as the processor made it.

    Attributes:
        shape: of the tensor.
        x, y: for each of its numbers the place in the picture, in pixels; nan where it is padding.
            ``None`` where the size of the picture is not known.
        size: width and height of the picture.
    """

    shape: tuple[int, ...]
    x: Tensor | None = None
    y: Tensor | None = None
    size: tuple[int, int] = (0, 0)

    def of(self, number: int, size: tuple[int, int]) -> "Pixels":
        """One entry of the first axis, which is of a picture of another size."""
        if self.x is None or self.y is None:
            return replace(self, shape=(1, *self.shape[1:]), size=size)
        x = self.x[number : number + 1] / self.size[0] * size[0]
        y = self.y[number : number + 1] / self.size[1] * size[1]
        return Pixels(tuple(x.shape), x, y, size)

    @property
    def flat(self) -> bool:
        """Whether it holds patches that are flattened, instead of pictures."""
        if len(self.shape) < 4 or self.shape[-3] != _CHANNELS:
            return True
        if self.x is None:
            return False
        x = self.x.reshape(-1, _CHANNELS, *self.shape[-2:])
        return float((x - x[:, :1]).abs().nan_to_num(0).max()) > _allowed(self.size[0])

    def planes(self) -> list[Plane]:
        """The pieces of a tensor that is not flat, in their order."""
        height, width = self.shape[-2:]
        if self.x is None or self.y is None:
            n = int(np.prod(self.shape[:-3]))
            return [Plane(height, width, None, None) for _ in range(n)]
        pieces = zip(
            self.x.reshape(-1, _CHANNELS, height, width),
            self.y.reshape(-1, _CHANNELS, height, width),
            strict=True,
        )
        return [self._plane(x.mean(dim=0), y.mean(dim=0)) for x, y in pieces]

    def points(self) -> tuple[Tensor, Tensor] | None:
        """Middles of its patches, or of its planes: x and y, (..., patches); nan for padding."""
        if self.x is None or self.y is None:
            return None
        inner = (-1,) if self.flat else (-3, -2, -1)
        return self.x.nanmean(dim=inner), self.y.nanmean(dim=inner)

    def _plane(self, x: Tensor, y: Tensor) -> Plane:
        height, width = x.shape
        across = fit(x.nanmean(dim=0), self.size[0])
        down = fit(y.nanmean(dim=1), self.size[1])
        straight = even(x.T, self.size[0]) and even(y, self.size[1])
        seen = not bool(x.isnan().all())
        return Plane(height, width, across if straight else None, down if straight else None, seen)


@dataclass(frozen=True, eq=False)
class Sight:
    """What the processor makes of the pictures of one prompt, if they are of some sizes.

    Attributes:
        ids: the prompt's tokens.
        facts: what it tells beside tokens and pixels, such as grids: whole numbers.
        pixels: its tensors of pictures.
    """

    ids: tuple[int, ...]
    facts: Mapping[str, Tensor]
    pixels: Mapping[str, Pixels]

    def of(self, number: int, size: tuple[int, int], n: int) -> "Sight":
        """One of ``n`` pictures, where every tensor has one entry for each."""
        facts = {
            name: one[number : number + 1] for name, one in self.facts.items() if len(one) == n
        }
        pixels = {
            name: one.of(number, size) for name, one in self.pixels.items() if one.shape[0] == n
        }
        return replace(self, facts=facts, pixels=pixels)


def look(model: Model, sizes: Sequence[tuple[int, int]]) -> Sight:
    """Show the processor of a model pictures of some sizes, and see where its output comes from.

    Args:
        model: whose processor.
        sizes: width and height in pixels of the pictures of one prompt.

    Raises:
        DataError: the processor cannot prepare pictures of that size.
    """
    black, white, right, down = zip(*map(_shown, sizes), strict=True)
    dark, bright = (process(model, [Turn(_TEXT, images)]) for images in (black, white))
    facts = {name: one for name, one in dark.items() if not one.is_floating_point()}
    shown = [
        name
        for name, one in dark.items()
        if one.is_floating_point()
        and one.shape == bright[name].shape
        and not torch.equal(one, bright[name])
    ]
    for name in shown:
        bright[name] = bright[name] - dark[name]
    x: dict[str, Tensor] = {}
    y: dict[str, Tensor] = {}
    for places, images, side in ((x, right, 0), (y, down, 1)):
        # One after the other: tensors of large pictures are large.
        made = process(model, [Turn(_TEXT, images)])
        for name in shown:
            places[name] = _places(made[name], dark[name], bright[name]) * sizes[0][side]
    pixels = {name: Pixels(tuple(dark[name].shape), x[name], y[name], sizes[0]) for name in shown}
    ids = tuple(facts.pop("input_ids")[0].tolist())
    return Sight(ids, facts, pixels)


def _places(shown: Tensor, dark: Tensor, bright: Tensor) -> Tensor:
    # Where a picture and its padding are mixed, too little of the picture is left to tell.
    nothing = bright.abs() <= bright.abs().max() / 2
    return ((shown - dark) / bright.masked_fill(nothing, 1.0)).masked_fill(nothing, float("nan"))


def _shown(size: tuple[int, int]) -> "list[Image]":
    from PIL.Image import fromarray

    width, height = size
    across = np.rint((np.arange(width) + 0.5) / width * 255)
    down = np.rint((np.arange(height) + 0.5) / height * 255)
    grey = (
        np.zeros((height, width)),
        np.full((height, width), 255),
        np.broadcast_to(across, (height, width)),
        np.broadcast_to(down[:, None], (height, width)),
    )
    return [fromarray(one.astype(np.uint8)).convert("RGB") for one in grey]


def fit(places: Tensor, side: int) -> Line | None:
    """The straight line through places of the picture, given by steps of the output.

    Args:
        places: (n,) in pixels; nan where the output shows padding.
        side: of the picture in pixels, which says how exactly places are known.

    Returns:
        the line; ``None`` where there are fewer than two places, or they lie on no line.
    """
    at = (~places.isnan()).nonzero().flatten()
    # Resizing bends brightness at the border of a picture, where it has no more neighbours.
    border = 2 if len(at) >= 8 else 1 if len(at) >= 4 else 0
    at = at[border : len(at) - border]
    if len(at) < 2:
        return None
    step, value = at.double() + 0.5, places[at].double()
    centred = step - step.mean()
    slope = float((centred * (value - value.mean())).sum() / centred.square().sum())
    start = float(value.mean() - slope * step.mean())
    wrong = float((value - (start + slope * step)).abs().max())
    return Line(slope, start) if wrong <= _allowed(side) + abs(slope) / 2 else None


def even(places: Tensor, side: int) -> bool:
    """Whether places depend on the first axis only: (n, m), nan for padding."""
    known = ~places.isnan()
    high = places.masked_fill(~known, -float("inf")).amax(dim=1)
    low = places.masked_fill(~known, float("inf")).amin(dim=1)
    spread = (high - low)[known.any(dim=1)]
    # At the border to padding places are less exact; of a turned picture the whole side is spread.
    return not len(spread) or float(spread.max()) <= 2 * _allowed(side) + 0.05 * side


def _allowed(side: int) -> float:
    return 1.5 * _LEVEL * side + 1e-3
