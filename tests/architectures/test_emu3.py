"""Emu3: pictures become codes, together with the padding that other pictures of a batch cause."""

import pytest
import torch
from tests.architectures.cases import draw
from tests.architectures.families.tiled_more import build_emu3

from shiftlens.activations.capture import catch_given, catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.core.errors import DataError
from shiftlens.models.generation import forward
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import Turn, encode_turns

_WIDE, _WIDE_TOO, _SQUARE = draw((64, 32), 0), draw((64, 32), 1), draw((40, 40), 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(build_emu3(tmp_path_factory.mktemp("emu") / "model", 0))


def test_pictures_of_different_sizes_are_refused_in_one_batch(model: Model) -> None:
    turns = [Turn("what is this ?", (_WIDE,)), Turn("yes", (_SQUARE,))]
    with pytest.raises(DataError, match="reads a picture otherwise beside a larger one"):
        encode_turns(model, turns)
    both = encode_turns(model, [Turn("what is this ?", (_WIDE, _SQUARE))])
    assert forward(model, both).logits.isfinite().all()


def test_pictures_of_one_size_and_texts_are_read_as_by_themselves(model: Model) -> None:
    turns = [
        Turn("what is this ?", (_WIDE,)),
        Turn("is the dog in the picture ?", (_WIDE_TOO,)),
        Turn("yes"),
    ]
    site = Site((0, 1, 2, 3), mean_response())
    own = catch_own(model, turns, site, 4)
    given = catch_given(model, turns, site, own.responses)
    for row, turn in enumerate(turns):
        alone = catch_own(model, [turn], site, 4)
        n = len(own.responses[row].token_ids)
        assert alone.responses[0].token_ids == own.responses[row].token_ids
        for layer in site.layers:
            states = own.states[layer][row, :n]
            torch.testing.assert_close(states, alone.states[layer][0, :n], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(states, given.states[layer][row, :n], atol=1e-4, rtol=1e-4)


def test_twin_another_picture_is_another_answer(model: Model) -> None:
    said = [
        forward(model, encode_turns(model, [Turn("what is this ?", (one,))])).logits[0, -1]
        for one in (_WIDE, _WIDE_TOO)
    ]
    assert not torch.allclose(*said, atol=1e-2)
