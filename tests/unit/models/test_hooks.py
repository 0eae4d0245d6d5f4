"""Hooks see and change the residual stream, and give the module back."""

import pytest
import torch

from shiftlens.core.errors import SiteError, SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import edit, record, state_of, with_state
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.models.towers import modules_of


def test_state_of_a_tensor_or_a_tuple() -> None:
    state, cache = torch.ones(1, 2, 3), object()
    assert state_of(state) is state
    assert state_of((state, cache)) is state
    assert with_state(state, state * 2).equal(state * 2)
    new = with_state((state, cache), state * 2)
    assert new[0].equal(state * 2)
    assert new[1] is cache


@pytest.mark.parametrize("output", [(), None, "text", [torch.ones(1, 2, 3)]])
def test_any_other_output_is_refused(output: object) -> None:
    with pytest.raises(SteeringError, match="a block returned"):
        state_of(output)


def test_recording_has_one_state_per_forward_call(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions)
    with record(tiny, [0, -1]) as seen:
        said = generate(tiny, inputs, max_new_tokens=4)
    assert set(seen.states) == {0, 3}
    shapes = [tuple(state.shape) for state in seen.states[3]]
    assert shapes == [(6, inputs.prompt_width, 32)] + [(6, 1, 32)] * (len(shapes) - 1)
    assert len(shapes) <= max(len(response.token_ids) for response in said) + 1
    assert not seen.states[0][0].requires_grad


def test_the_same_layer_twice_is_recorded_once(tiny: Model, questions: list[Sample]) -> None:
    with record(tiny, [3, -1, 3]) as seen:
        forward(tiny, encode(tiny, questions[:1]))
    assert {layer: len(states) for layer, states in seen.states.items()} == {3: 1}


def test_what_is_kept_shares_no_memory_with_the_model(tiny: Model, questions: list[Sample]) -> None:
    originals: list[torch.Tensor] = []

    def last(state: torch.Tensor) -> torch.Tensor:
        originals.append(state)
        return state[:, -1]

    with record(tiny, [1], keep=last) as seen:
        forward(tiny, encode(tiny, questions[:2]))
    kept = seen.states[1][0]
    assert kept.shape == (2, 32)
    assert kept.equal(originals[0][:, -1])
    assert kept.untyped_storage().data_ptr() != originals[0].untyped_storage().data_ptr()


def test_clear_forgets_but_goes_on(tiny: Model, questions: list[Sample]) -> None:
    with record(tiny, [1]) as seen:
        forward(tiny, encode(tiny, questions[:1]))
        seen.clear()
        assert seen.states == {1: []}
        forward(tiny, encode(tiny, questions[:1]))
    assert len(seen.states[1]) == 1


def test_an_edit_changes_its_block_and_every_later_one(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:1])
    with record(tiny, range(4)) as plain:
        forward(tiny, inputs)
    with edit(tiny, -2, lambda state: state + 1), record(tiny, range(4)) as edited:
        forward(tiny, inputs)
    assert edited.states[1][0].equal(plain.states[1][0])
    assert edited.states[2][0].equal(plain.states[2][0] + 1)
    assert not edited.states[3][0].equal(plain.states[3][0])


def test_a_recording_outside_the_edit_sees_the_original(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:1])
    with record(tiny, [2]) as plain:
        forward(tiny, inputs)
    with record(tiny, [2]) as outside, edit(tiny, 2, lambda state: state + 1):
        forward(tiny, inputs)
    assert outside.states[2][0].equal(plain.states[2][0])


def test_what_is_shown_of_the_vision_tower_is_what_was_edited(
    tiny: Model, questions: list[Sample]
) -> None:
    # Of the hidden states one is shown to the language model, and transformers keeps a recorder at
    # each block from the first call on: an edit behind it would reach nobody.
    inputs = encode(tiny, questions[:1])
    shown = tiny.hf.config.vision_feature_layer
    block = len(modules_of(tiny, "vision")) + shown if shown < 0 else shown - 1
    plain = forward(tiny, inputs).logits
    hooked = [list(one._forward_hooks) for one in modules_of(tiny, "vision")]
    with edit(tiny, block, lambda state: state + 1, tower="vision"):
        edited = forward(tiny, inputs).logits
    assert not edited.equal(plain)
    assert [list(one._forward_hooks) for one in modules_of(tiny, "vision")] == hooked
    assert forward(tiny, inputs).logits.equal(plain)


def test_an_edit_of_another_shape_is_refused(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1])
    with (
        pytest.raises(SteeringError, match=r"allowed|same shape"),
        edit(tiny, 0, lambda state: state[:, -1:]),
    ):
        forward(tiny, inputs)


def test_an_edit_keeps_the_type_of_the_state(tiny: Model, questions: list[Sample]) -> None:
    with edit(tiny, 0, lambda state: state.double()), record(tiny, [0]) as seen:
        forward(tiny, encode(tiny, questions[:1]))
    assert seen.states[0][0].dtype == torch.float32


@pytest.mark.parametrize("layer", [4, -5, 40])
def test_a_layer_outside_the_model_names_the_layers_inside(tiny: Model, layer: int) -> None:
    allowed = r"language_model.layers has 4 blocks: use 0..3, or -4..-1"
    with pytest.raises(SiteError, match=allowed), record(tiny, [0, layer]):
        pass
    with pytest.raises(SiteError, match=f"layer {layer} is outside"), edit(tiny, layer, torch.neg):
        pass
