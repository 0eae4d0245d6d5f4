"""Roles of tokens: the same words in every family, taken from what its processor wrote."""

from collections import Counter

import pytest
from tests.architectures.cases import Case

from shiftlens.activations.places import Batch
from shiftlens.activations.token_roles import ROLES, TokenRole, token_roles
from shiftlens.core.errors import DataError
from shiftlens.models.generation import generate
from shiftlens.models.processing.templates import is_plain
from shiftlens.models.prompts import Turn, encode_turns
from shiftlens.models.roles import Roles


def _said(case: Case, roles: list[TokenRole], role: str) -> str:
    """The text of the tokens that have a role, as the tokenizer reads it."""
    ids = case.model.tokenizer.convert_tokens_to_ids(
        [one.token for one in roles if one.role == role]
    )
    return str(case.model.tokenizer.decode(ids)).strip()


def _tabled(case: Case) -> list[tuple[Turn, list[TokenRole]]]:
    return [
        (turn, roles)
        for batch in case.batches
        for turn, roles in zip(batch, token_roles(case.model, batch), strict=True)
    ]


def test_what_the_user_says_is_the_users(case: Case) -> None:
    for turn, roles in _tabled(case):
        assert {one.role for one in roles} <= set(ROLES)
        assert _said(case, roles, "user") == turn.prompt
        kept = [one.position for one in roles if one.role == "user"]
        assert kept == list(range(kept[0], kept[-1] + 1)), "in one piece"
        assert roles[-1].position == 0, "the last prompt position"


def test_pictures_are_told_apart(case: Case) -> None:
    for turn, roles in _tabled(case):
        counts = Counter(one.image for one in roles if one.role == "image")
        if not counts:  # Mllama looks at pictures beside the residual stream
            assert not turn.images or case.family.model_type == "mllama"
            continue
        assert sorted(counts) == list(range(len(turn.images)))
        places = [(one.image, one.patch) for one in roles if one.patch is not None]
        assert len(set(places)) == len(places), "no patch twice"
        resampled = case.family.geometry == "resampled" or case.family.model_type == "mllama"
        assert bool(places) == (bool(turn.images) and not resampled)


def test_padding_is_before_the_last_prompt_position(case: Case) -> None:
    """On the left of the text, that is: BLIP-2 writes a picture's tokens before the padding."""
    (batch, *_) = case.batches
    inputs = encode_turns(case.model, batch)
    masks = Roles.of(case.model, inputs)
    for row, roles in enumerate(token_roles(case.model, batch)):
        flags = [one.role == "padding" for one in roles]
        assert not flags[-1]
        text = flags[
            max((at for at, one in enumerate(roles) if one.role == "image"), default=-1) + 1 :
        ]
        assert case.family.model_type in ("blip-2", "instructblip") or text == flags[-len(text) :]
        assert text == sorted(text, reverse=True), "no padding within the text"
        assert [not flag for flag in flags] == masks.real[row].tolist()
    lengths = masks.real.sum(dim=1).tolist()
    assert len(set(lengths)) > 1, "prompts of one length would not be padded"


def test_a_system_prompt_has_its_own_role(case: Case) -> None:
    picture = case.images[2]
    turn = Turn("what is this ?", (picture,), system="describe the picture .")
    if is_plain(case.model):
        with pytest.raises(DataError, match="no place for a system prompt"):
            token_roles(case.model, [turn])
        return
    (roles,) = token_roles(case.model, [turn])
    assert _said(case, roles, "system") == "describe the picture ."
    assert _said(case, roles, "user") == "what is this ?"
    first = {one.role: one.position for one in reversed(roles)}
    assert first["system"] < first["user"]


def test_responses_follow(case: Case) -> None:
    (batch, *_) = case.batches
    responses = generate(case.model, encode_turns(case.model, batch), max_new_tokens=3)
    for roles, response in zip(token_roles(case.model, batch, responses), responses, strict=True):
        kept = [one for one in roles if one.role == "response"]
        assert [one.position for one in kept] == list(range(1, len(response.token_ids) + 1))
        ids = case.model.tokenizer.convert_tokens_to_ids([one.token for one in kept])
        assert tuple(ids) == response.token_ids


def test_places_agree_with_the_layouts(case: Case) -> None:
    (batch, *_) = case.batches
    inputs = encode_turns(case.model, batch)
    for places, roles in zip(Batch(case.model, inputs).rows(), token_roles(case.model, batch),
                             strict=True):  # fmt: skip
        for at, one in enumerate(roles):
            if one.patch is not None and one.image is not None:
                layout = places.layout(one.image)
                assert layout.column(*one.patch, case.model.name) == at
