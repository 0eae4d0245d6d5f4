"""The state at the concepts' own site, on one text, for a sample whose picture was changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from shiftlens.activations.capture import Caught, catch_given
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.selection import Failed, Missed, Pick, Said
from shiftlens.activations.site import Site
from shiftlens.concepts.grounding.image_states import batches, picture_number
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Acts
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn

if TYPE_CHECKING:
    from PIL.Image import Image


class NothingSelected(GroundingError):
    """A response in which the concepts' site selects no state."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A sample with its pictures open, what is said about it, and which of them is changed.

    Attributes:
        sample: it.
        turn: its prompt and its pictures as they are.
        response: the text on which the state is taken, the same for every change.
        picture: which picture is changed, from 0.
    """

    sample: Sample
    turn: Turn
    response: Response
    picture: int = 0

    @staticmethod
    def of(sample: Sample, response: Response, picture: int = 0) -> "Scene":
        """Open a sample's pictures.

        Raises:
            DataError: one cannot be read.
            SiteError: the sample has no such picture.
        """
        turn = Turn.of(sample)
        number = picture_number(len(turn.images), picture, sample.id)
        return Scene(sample, turn, response, number)

    @property
    def image(self) -> "Image":
        """The picture that is changed."""
        return self.turn.images[self.picture]

    def showing(self, image: "Image") -> Turn:
        """The prompt with another picture in that one's place."""
        images = list(self.turn.images)
        images[self.picture] = image
        return replace(self.turn, images=tuple(images))


def own_states(
    model: Model, site: Site, scene: Scene, images: Sequence["Image"], *, batch_size: int = 16
) -> Acts:
    """The state at the site for each of some pictures in the scene's place: (n, d) float32.

    The text is given token by token, so that every picture is judged at the same word. Where a site
    selects several states of a sample, it is their mean.

    Args:
        model: who sees them.
        site: of the concepts; one layer.
        scene: the sample, and what is said.
        images: of the size of the scene's own.
        batch_size: pictures at once.

    Raises:
        NothingSelected: the response says no word of the site; a ``GroundingError``.
        GroundingError: a state is not finite.
    """
    found: list[torch.Tensor] = []
    layer = site.resolve(model).layers[0]
    for turns, inputs in batches(model, [scene.showing(one) for one in images], batch_size):
        caught = catch_given(model, turns, site.at(layer), [scene.response] * len(turns), inputs)
        states = caught.states[layer].float().cpu()
        for row in range(len(turns)):
            at = _positions(model, site, scene, caught, row)
            found.append(states[row, at].mean(dim=0))
    whole = torch.stack(found)
    if not bool(torch.isfinite(whole).all()):
        raise GroundingError(f"states of {scene.sample.id!r} are not finite")
    return whole


def _positions(model: Model, site: Site, scene: Scene, caught: Caught, row: int) -> list[int]:
    """Where the site's states stand among those that were caught."""
    if site.tower != "language":
        return [0]
    if caught.prompt:
        found = caught.prompt[row]
        if found.status != "matched":
            raise _nothing(scene, site)
        return [0] if isinstance(site.tokens, Mean) else list(range(len(found.positions)))
    return [
        at for pick in _picks(model, site, scene, caught.responses[row]) for at in pick.positions
    ]


def _picks(model: Model, site: Site, scene: Scene, response: Response) -> list[Pick]:
    said = Said(
        response.text,
        response.token_ids,
        response.truncated,
        partial(decode, model),
        response.reasoning,
    )
    try:
        return site.tokens.picks(scene.sample, said)
    except (Missed, Failed):
        raise _nothing(scene, site) from None


def _nothing(scene: Scene, site: Site) -> NothingSelected:
    return NothingSelected(
        f"the response to sample {scene.sample.id!r} holds nothing of the concepts' site "
        f"({site.tokens.kind}): {scene.response.text.strip()[:60]!r}",
        allowed="samples in which the site selects a state",
        remedy="leave it out, or give a response that says the word",
    )
