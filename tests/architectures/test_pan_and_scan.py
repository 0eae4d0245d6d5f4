"""Gemma 3 with pan and scan: crops of a long picture follow it, with words between them.

In transformers 5.23 it is an option of a call: ``Gemma3Processor`` puts its own default (off) over
what ``preprocessor_config.json`` says, so no directory can have it on.
"""

import pytest
import torch
from tests.architectures.cases import draw
from tests.architectures.families.tiled_gemma import build_gemma3

from shiftlens.activations.capture import catch_given, catch_own
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.processing.placeholders import picture_token
from shiftlens.models.prompts import Turn, encode_turns

_SCAN = {
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 16,
    "pan_and_scan_max_num_crops": 3,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}
# Pictures of four tokens: a square one is shown whole, a long one whole and in crops.
_SQUARE, _WIDE, _HIGH = draw((40, 40), 0), draw((96, 40), 1), draw((30, 100), 2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = build_gemma3(tmp_path_factory.mktemp("gemma") / "model", 0)
    found = load_model(path)
    found.processor.images_kwargs = found.processor.images_kwargs | _SCAN
    return found


def _counts(model: Model, turns: list[Turn]) -> list[int]:
    ids = encode_turns(model, turns).tensors["input_ids"]
    return (ids == picture_token(model.hf, model.processor)).sum(dim=1).tolist()


def test_long_pictures_have_more_tokens(model: Model) -> None:
    turns = [Turn("what is this ?", (one,)) for one in (_SQUARE, _WIDE, _HIGH)]
    assert _counts(model, turns) == [4, 4 * 3, 4 * 4]
    both = [Turn("what is this ?", (_SQUARE, _WIDE)), Turn("yes")]
    assert _counts(model, both) == [4 * 4, 0]


def test_a_batch_is_its_samples_and_reading_is_saying(model: Model) -> None:
    turns = [
        Turn("what is this ?", (_SQUARE,)),
        Turn("is the man on the beach ?", (_WIDE,)),
        Turn("is the dog in the picture ?", (_HIGH, _SQUARE)),
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


def test_twin_without_pan_and_scan_the_crops_are_not_seen(model: Model) -> None:
    turns = [Turn("what is this ?", (_WIDE,))]
    before = model.processor.images_kwargs
    model.processor.images_kwargs = before | {"do_pan_and_scan": False}
    try:
        assert _counts(model, turns) == [4]
    finally:
        model.processor.images_kwargs = before
