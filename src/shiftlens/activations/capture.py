"""One batch, one model: what was said, and the states along it, kept on the device."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.prompt_rows import PromptRow, column_index, mask_of, prompt_rows
from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.site import Site
from shiftlens.core.errors import DataError
from shiftlens.models.generation import decode, forward, generate, with_reasoning
from shiftlens.models.hooks import Recording, record
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Inputs, Turn, encode_turns, with_responses
from shiftlens.models.stopping import Enough
from shiftlens.models.towers import Tower, pieces_of


@dataclass(frozen=True)
class Caught:
    """Responses of a batch and the states along them.

    Attributes:
        responses: one a sample.
        states: for each layer (b, positions, d). For a selection in the response, position 0 is
            the last prompt position and j that of response token j - 1; for one in the prompt the
            positions are those of ``prompt``, or a single one, the mean over them.
        prompt: what a selection in the prompt selects in each sample; none for other selections.
    """

    responses: list[Response]
    states: dict[int, Float[Tensor, "b p d"]]
    prompt: tuple[PromptRow, ...] = ()


def catch_own(
    model: Model,
    turns: Sequence[Turn],
    site: Site,
    max_new_tokens: int,
    encoded: Inputs | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    enough: Enough | None = None,
) -> Caught:
    """Let the model answer and catch the states while it does: no second pass.

    Args:
        model: who answers.
        turns: prompts with their pictures.
        site: which states.
        max_new_tokens: where a response is cut off.
        encoded: the turns' inputs without responses, where they were made already.
        options: generation options that are meant, see ``generate``.
        enough: when a row has said all that is wanted of it, see ``generate``.
    """
    inputs = encoded or encode_turns(model, turns)
    say = partial(generate, max_new_tokens=max_new_tokens, options=options, enough=enough)
    if site.tower != "language":
        with _beside(model, turns, inputs, site) as seen:
            responses = say(model, inputs)
        return Caught(responses, {layer: parts[0] for layer, parts in seen.states.items()})
    rows = prompt_rows(model, inputs, site.tokens)
    # While generating with a cache, the prompt comes first and then one position at a time: the
    # last column of every call is exactly the response's trail.
    keep = _in_prompt(inputs, site, rows) if rows else _last_position
    keep = _aligned(model, inputs, _behind(model, site, keep))
    with record(model, site.layers, keep=keep) as seen:
        responses = say(model, inputs)
    states = {layer: torch.cat(parts, 1) for layer, parts in seen.states.items()}
    return Caught(responses, states, rows)


def catch_given(
    model: Model,
    turns: Sequence[Turn],
    site: Site,
    responses: Sequence[Response],
    encoded: Inputs | None = None,
) -> Caught:
    """Give the model the tokens of responses and catch the states in one teacher-forced pass.

    ``encoded`` are the turns' inputs without responses, where they were made already.
    """
    given = [one.token_ids for one in responses]
    inputs = with_responses(model, encoded or encode_turns(model, turns), given)
    said = with_reasoning(model, inputs, responses)
    if site.tower != "language":
        with _beside(model, turns, inputs, site) as seen:
            forward(model, inputs)
        return Caught(said, {layer: parts[0] for layer, parts in seen.states.items()})
    rows = prompt_rows(model, inputs, site.tokens)
    keep = _in_prompt(inputs, site, rows) if rows else partial(_tail, inputs)
    keep = _aligned(model, inputs, _behind(model, site, keep))
    with record(model, site.layers, keep=keep) as seen:
        forward(model, inputs)
    return Caught(said, {layer: parts[0] for layer, parts in seen.states.items()}, rows)


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


def _in_prompt(inputs: Inputs, site: Site, rows: Sequence[PromptRow]) -> Callable[[Tensor], Tensor]:
    """What to keep of a state for a selection in the prompt: its columns, or their mean."""
    if isinstance(site.tokens, Mean):
        return partial(_mean_over, mask_of(inputs, rows))
    return partial(_gathered, column_index(inputs, rows), inputs.prompt_width)


def _behind(
    model: Model, site: Site, keep: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """``keep``, of what the final norm makes of the states where the site lies behind it.

    The norm comes first: a mean over normed states is not the norm of their mean.
    """
    norm = model.address.norm(model.hf) if site.normed else None
    return keep if norm is None else lambda state: keep(norm(state))


def _aligned(
    model: Model, inputs: Inputs, keep: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """``keep``, for states that have a position for each token of the prompt and no more.

    Raises:
        DataError: when it is called, for a family that puts pictures before the text (GIT).
    """
    n = int(inputs.tensors["input_ids"].shape[1])

    def checked(state: Tensor) -> Tensor:
        if state.shape[1] > n:
            raise DataError(
                f"the blocks of {model.name} see {state.shape[1]} positions for {n} tokens",
                allowed="families whose prompt holds a token for each piece of a picture",
            )
        return keep(state)

    return checked


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


def _gathered(index: Tensor, width: int, state: Tensor) -> Tensor:
    """The indexed columns of the call that holds the prompt; nothing later."""
    if state.shape[1] < width:
        return state[:, :0]
    return state.gather(1, index[:, :, None].expand(-1, -1, state.shape[-1]))
