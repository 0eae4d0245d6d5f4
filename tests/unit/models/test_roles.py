"""Every position of a batch has exactly the roles that it should have."""

from pathlib import Path

import pytest
import torch

from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token, placeholder_tokens
from shiftlens.models.prompts import Inputs, encode
from shiftlens.models.roles import Roles

_RESPONSES = [[10, 11, 12], [], [13]]


@pytest.fixture
def inputs(family: Model, pictures: list[Path]) -> Inputs:
    samples = [
        Sample("one", "what is this ?", (str(pictures[1]),)),
        Sample("none", "yes"),
        Sample("two", "is the dog on the beach ?", (str(pictures[1]), str(pictures[2]))),
    ]
    return encode(family, samples, response_ids=_RESPONSES)


def test_prompt_response_and_padding_share_nothing_and_leave_nothing(
    family: Model, inputs: Inputs
) -> None:
    roles = Roles.of(family, inputs)
    assert (roles.prompt | roles.response).equal(roles.real)
    assert not (roles.prompt & roles.response).any()
    assert roles.real.equal(inputs.tensors["attention_mask"].bool())
    masks = (roles.real, roles.prompt, roles.image, roles.text, roles.last_prompt, roles.response)
    for mask in masks:
        assert mask.dtype == torch.bool
        assert mask.shape == inputs.tensors["input_ids"].shape


def test_the_response_is_what_was_given(family: Model, inputs: Inputs) -> None:
    roles, ids = Roles.of(family, inputs), inputs.tensors["input_ids"]
    for row, response in enumerate(_RESPONSES):
        assert ids[row][roles.response[row]].tolist() == response


def test_pictures_are_within_the_prompt(family: Model, inputs: Inputs) -> None:
    roles = Roles.of(family, inputs)
    assert not (roles.image & ~roles.prompt).any()
    counts = roles.image.sum(1).tolist()
    assert counts[1] == 0
    assert 0 < counts[0] < counts[2]
    token = picture_token(family.hf, family.processor)
    assert (inputs.tensors["input_ids"][roles.image] == token).all()
    assert (inputs.tensors["input_ids"][roles.prompt & ~roles.image] != token).all()


def test_the_text_of_the_prompt_is_what_stands_for_no_picture(
    family: Model, inputs: Inputs
) -> None:
    roles, ids = Roles.of(family, inputs), inputs.tensors["input_ids"]
    marks = torch.tensor(placeholder_tokens(family.hf, family.processor))
    assert not (roles.text & (roles.image | ~roles.prompt)).any()
    assert not torch.isin(ids[roles.text], marks).any()
    left = roles.prompt & ~roles.text
    assert torch.isin(ids[left], marks).all(), "nothing but pictures and their marks is left out"
    assert (roles.text & roles.last_prompt).sum() == len(ids)


def test_one_last_prompt_position_a_row(family: Model, inputs: Inputs) -> None:
    roles = Roles.of(family, inputs)
    assert roles.last_prompt.sum(1).tolist() == [1, 1, 1]
    assert not (roles.last_prompt & ~roles.prompt).any()
    for row in range(3):
        last = int(roles.last_prompt[row].nonzero())
        assert last == int(roles.prompt[row].nonzero().max())
        if roles.response[row].any():
            assert last + 1 == int(roles.response[row].nonzero().min())


def test_without_responses_nothing_is_one(family: Model, questions: list[Sample]) -> None:
    roles = Roles.of(family, encode(family, questions))
    assert not roles.response.any()
    assert roles.real.equal(roles.prompt)
