"""States of the tokens of one picture, sample by sample, with the place of each in the pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError, GroundingError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward
from shiftlens.models.geometry.finding import layouts_of
from shiftlens.models.geometry.layout import Grid, Layout
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, Turn, encode_turns


@dataclass(frozen=True, eq=False)
class ImageStates:
    """One picture of one sample, as a block of the language model sees it.

    Attributes:
        sample_id: whose picture.
        states: (n, d) float32 on the CPU, one for each of ``layout.columns``.
        layout: where each of these tokens lies in the pixels; its grid is known.
        picture: which picture of the sample, from 0.
    """

    sample_id: str
    states: Float[Tensor, "n d"]
    layout: Layout
    picture: int = 0

    @property
    def grid(self) -> Grid:
        """The finest grid that covers the picture."""
        return self.layout.require_grid(self.sample_id)

    @property
    def shown(self) -> Float[Tensor, "m d"]:
        """The states of the tokens that have a place in the grid, row by row."""
        numbers = {column: at for at, column in enumerate(self.layout.columns)}
        return self.states[[numbers[column] for column in self.grid.columns]]


def image_states(
    model: Model, samples: Sequence[Sample], site: Site, *, picture: int = 0, batch_size: int = 16
) -> Iterator[ImageStates]:
    """The states of each sample's picture after the site's block; the prompt alone is read.

    One batch of pictures and states is held at a time.

    Args:
        model: who sees the pictures.
        samples: prompts with pictures.
        site: whose layer; its tokens do not matter here. States behind the final norm are normed.
        picture: which picture of each sample, from 0; negative ones count from the end.
        batch_size: samples at once; fewer where the family cannot read them side by side.

    Raises:
        DataError: there are no samples, a picture cannot be read, or the family has no token that
            stands for a piece of a picture.
        GroundingError: the site lies in another tower than the language model, or names several
            layers.
        SiteError: a sample has no such picture, or no patch of the family has a place in it.
    """
    layer = layer_of_concepts(model, site)
    if not samples:
        raise DataError("no samples to look at", allowed="at least one")
    if batch_size < 1:
        raise DataError(f"a batch of {batch_size} samples", allowed="at least 1")
    for start in range(0, len(samples), batch_size):
        turns = [Turn.of(one) for one in samples[start : start + batch_size]]
        for batch, inputs in batches(model, turns, batch_size):
            yield from _of_batch(model, batch, inputs, site, layer, picture)


def layer_of_concepts(model: Model, site: Site) -> int:
    """The one block of the language model after which concepts live.

    Raises:
        GroundingError: they live in another tower, or at several layers.
        SiteError: the model has no such layer.
    """
    if site.tower != "language":
        raise GroundingError(
            f"these concepts live in the {site.tower} tower, over whole pictures",
            allowed="concepts of the language model, whose picture tokens have places",
        )
    if not isinstance(site.layer, int):
        raise GroundingError(
            f"these concepts live at the layers {site.layer}", allowed="concepts of one layer"
        )
    resolved = site.resolve(model).layer
    assert isinstance(resolved, int)  # one layer went in
    return resolved


def batches(
    model: Model, turns: Sequence[Turn], batch_size: int
) -> Iterator[tuple[Sequence[Turn], Inputs]]:
    """Encoded batches in order; halves where the family cannot read such turns side by side."""
    for start in range(0, len(turns), batch_size):
        yield from _encoded(model, turns[start : start + batch_size])


def _encoded(model: Model, turns: Sequence[Turn]) -> Iterator[tuple[Sequence[Turn], Inputs]]:
    try:
        inputs = encode_turns(model, turns)
    except DataError:
        if len(turns) == 1:
            raise
        middle = len(turns) // 2
        for half in (turns[:middle], turns[middle:]):
            yield from _encoded(model, half)
        return
    yield turns, inputs


def _of_batch(
    model: Model, turns: Sequence[Turn], inputs: Inputs, site: Site, layer: int, picture: int
) -> list[ImageStates]:
    layouts: list[Layout] = []
    for row, turn in zip(layouts_of(model, inputs), turns, strict=True):
        layouts.append(row[picture_number(len(row), picture, turn.name)])
        layouts[-1].require_grid(f"{model.name} (sample {turn.name!r})")
    states = _states(model, inputs, site, layer)
    return [
        ImageStates(
            turn.name,
            states[row, list(layout.columns)].float().cpu(),
            layout,
            picture % len(turn.images),
        )
        for row, (turn, layout) in enumerate(zip(turns, layouts, strict=True))
    ]


def _states(model: Model, inputs: Inputs, site: Site, layer: int) -> Float[Tensor, "b t d"]:
    norm: Any = model.address.norm(model.hf) if site.normed else None
    with record(model, [layer], keep=norm) as seen:
        forward(model, inputs)
    states = seen.states[layer][0]
    if states.shape[1] != inputs.tensors["input_ids"].shape[1]:
        raise DataError(
            f"the blocks of {model.name} see {states.shape[1]} positions for "
            f"{inputs.tensors['input_ids'].shape[1]} tokens",
            allowed="families whose prompt holds a token for each piece of a picture",
        )
    return states


def picture_number(n: int, picture: int, name: str) -> int:
    """The number of a picture among ``n``, counted from 0.

    Args:
        n: how many pictures the sample has.
        picture: from 0, or from the end where it is negative.
        name: of the sample, for the message.

    Raises:
        SiteError: it has no such picture.
    """
    if not -n <= picture < n:
        raise SiteError(
            f"sample {name!r} has no picture {picture}",
            allowed=f"it has {n}, counted from 0",
            remedy="leave out samples without that picture",
        )
    return picture % n
