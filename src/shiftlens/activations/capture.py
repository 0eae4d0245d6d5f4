"""One batch, one model: what was said, and the states along it, kept on the device."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.models.generation import decode, forward, generate
from shiftlens.models.hooks import Recording, record
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Inputs, Turn, encode_turns
from shiftlens.models.roles import Mask, Roles
from shiftlens.models.towers import Tower, pieces_of


@dataclass(frozen=True)
class Caught:
    """Responses of a batch and the states along them.

    Attributes:
        responses: one a sample.
        states: for each layer (b, positions, d). For a selection in the response, position 0 is
            the last prompt position and j that of response token j - 1; for one in the image or in
            the prompt's text there is a single position, the mean over those tokens.
    """

    responses: list[Response]
    states: dict[int, Float[Tensor, "b p d"]]


def catch_own(model: Model, turns: Sequence[Turn], site: Site, max_new_tokens: int) -> Caught:
    """Let the model answer and catch the states while it does: no second pass."""
    inputs = encode_turns(model, turns)
    if site.tower != "language":
        with _beside(model, turns, inputs, site) as seen:
            responses = generate(model, inputs, max_new_tokens=max_new_tokens)
        return Caught(responses, {layer: parts[0] for layer, parts in seen.states.items()})
    pooled = _pooled(model, inputs, site)
    # While generating with a cache, the prompt comes first and then one position at a time: the
    # last column of every call is exactly the response's trail.
    keep = partial(_mean_over, pooled) if pooled is not None else _last_position
    with record(model, site.layers, keep=_behind(model, site, keep)) as seen:
        responses = generate(model, inputs, max_new_tokens=max_new_tokens)
    return Caught(responses, {layer: torch.cat(parts, 1) for layer, parts in seen.states.items()})


def catch_given(
    model: Model, turns: Sequence[Turn], site: Site, responses: Sequence[Response]
) -> Caught:
    """Give the model the tokens of responses and catch the states in one teacher-forced pass."""
    inputs = encode_turns(model, turns, response_ids=[r.token_ids for r in responses])
    if site.tower != "language":
        with _beside(model, turns, inputs, site) as seen:
            forward(model, inputs)
        return Caught(list(responses), {layer: parts[0] for layer, parts in seen.states.items()})
    pooled = _pooled(model, inputs, site)
    keep = partial(_mean_over, pooled) if pooled is not None else partial(_tail, inputs)
    with record(model, site.layers, keep=_behind(model, site, keep)) as seen:
        forward(model, inputs)
    return Caught(list(responses), {layer: parts[0] for layer, parts in seen.states.items()})


def _beside(
    model: Model, turns: Sequence[Turn], inputs: Inputs, site: Site
) -> AbstractContextManager[Recording]:
    """Record the mean over each sample's patches in the vision tower or the projector."""
    tower = cast(Tower, site.tower)
    counts, grid = [len(turn.images) for turn in turns], inputs.tensors.get("image_grid_thw")

    def keep(state: Tensor) -> Tensor:
        rows: list[list[Tensor]] = [[] for _ in turns]
        for piece in pieces_of(model, tower, state, counts, grid):
            rows[piece.sample].append(state[piece.index])
        nothing = state.new_zeros(1, state.shape[-1])
        means = [torch.cat(row or [nothing]).float().mean(dim=0) for row in rows]
        return torch.stack(means).to(state.dtype)[:, None]

    return record(model, site.layers, keep=keep, tower=tower)


def as_response(model: Model, text: str) -> Response:
    """A given text as the tokens that the model would have to say."""
    ids = model.tokenizer.encode(text, add_special_tokens=False)
    return Response(decode(model, ids), tuple(ids), truncated=False)


def _pooled(model: Model, inputs: Inputs, site: Site) -> Mask | None:
    """The positions of a batch that a selection outside the response takes the mean over."""
    if site.tokens.part == "response":
        return None
    roles = Roles.of(model, inputs)
    return roles.image if site.tokens.part == "image" else roles.text


def _behind(
    model: Model, site: Site, keep: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """``keep``, of what the final norm makes of the states where the site lies behind it.

    The norm comes first: a mean over normed states is not the norm of their mean.
    """
    norm = model.address.norm(model.hf) if site.normed else None
    return keep if norm is None else lambda state: keep(norm(state))


def _last_position(state: Tensor) -> Tensor:
    return state[:, -1:]


def _tail(inputs: Inputs, state: Tensor) -> Tensor:
    return state[:, inputs.prompt_width - 1 :]


def _mean_over(mask: Tensor, state: Tensor) -> Tensor:
    """Mean over the masked positions in the call that holds the prompt; nothing later."""
    if state.shape[1] < mask.shape[1]:
        return state[:, :0]
    weights = mask.to(torch.float32)
    total = torch.einsum("bt,btd->bd", weights, state.float())
    return (total / weights.sum(dim=1, keepdim=True).clamp_min(1)).to(state.dtype)[:, None]
