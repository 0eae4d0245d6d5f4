"""``token_roles``: every token of a sample with what it is, in the same words for every family."""

from collections.abc import Sequence
from dataclasses import dataclass

from shiftlens.activations.places import Batch, Places
from shiftlens.core.errors import SiteError
from shiftlens.models.generation import with_reasoning
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Turn, encode_turns, with_responses

ROLES = ("padding", "template", "system", "user", "prompt", "image", "reasoning", "response")
"""What a token can be. ``template`` is what the chat template, and not the user, writes;
``prompt`` is text of the prompt where its tokens do not tell the three apart."""


@dataclass(frozen=True)
class TokenRole:
    """One token of a sample.

    Attributes:
        position: along the response: 0 is the last prompt position, earlier ones are negative, j
            is response token j - 1.
        token: as the tokenizer writes it.
        role: one of ``ROLES``.
        image: which picture of the sample it belongs to, from 0; ``None`` for text.
        patch: row and column in that picture's finest grid, where the token has a place.
        overview: row and column in the picture's overview, where it has one.
    """

    position: int
    token: str
    role: str
    image: int | None = None
    patch: tuple[int, int] | None = None
    overview: tuple[int, int] | None = None


def token_roles(
    model: Model, turns: Sequence[Turn], responses: Sequence[Response] | None = None
) -> list[list[TokenRole]]:
    """The roles of every token of a batch, padding included.

    Args:
        model: whose processor and template.
        turns: prompts with their pictures.
        responses: what was said to each; nothing by default.

    Returns:
        one list a turn, in the order of the tokens.

    Raises:
        DataError: the turns cannot be prepared.
    """
    inputs = encode_turns(model, turns)
    said = with_reasoning(
        model, inputs, responses or [Response("", (), truncated=False)] * len(turns)
    )
    if responses is not None:
        inputs = with_responses(model, inputs, [one.token_ids for one in said])
    rows = Batch(model, inputs).rows()
    return [_row(places, one) for places, one in zip(rows, said, strict=True)]


def _row(places: Places, said: Response) -> list[TokenRole]:
    batch = places.batch
    ids = batch.inputs.tensors["input_ids"][places.row].tolist()
    texts: list[str] = batch.model.tokenizer.convert_ids_to_tokens(ids)
    found = _pictures(places)
    named, other = _texts(places)
    real = batch.roles.real[places.row].tolist()
    roles: list[TokenRole] = []
    for at, text in enumerate(texts):
        position = at - places.last_prompt
        if not real[at]:
            roles.append(TokenRole(position, text, "padding"))
        elif position > 0:
            thought = position <= said.reasoning
            roles.append(TokenRole(position, text, "reasoning" if thought else "response"))
        elif at in found:
            roles.append(TokenRole(position, text, "image", *found[at]))
        else:
            roles.append(TokenRole(position, text, named.get(at, other)))
    return roles


def _texts(places: Places) -> tuple[dict[int, str], str]:
    """What the user and the system say, by column, and what any other text is."""
    try:
        said = {"system": places.system, "user": places.user}
    except SiteError:
        return {}, "prompt"
    return {at: role for role, columns in said.items() for at in columns}, "template"


_Place = tuple[int | None, tuple[int, int] | None, tuple[int, int] | None]


def _pictures(places: Places) -> dict[int, _Place]:
    """For each column of a picture: which one, and its places in grid and overview."""
    found: dict[int, _Place] = dict.fromkeys(places.image, (None, None, None))
    for number, layout in enumerate(places.batch.layouts[places.row] if places.image else ()):
        for column in layout.columns:
            found[column] = number, None, None
        for which, grid in ((1, layout.grid), (2, layout.overview)):
            for at, column in enumerate(grid.columns if grid else ()):
                place: list[tuple[int, int] | None] = [None, None]
                place[which - 1] = divmod(at, grid.cols) if grid else None
                found[column] = number, place[0], place[1]
    return found
