"""Theorems of steering: nothing added is nothing, opposites cancel, batches are their samples."""

import pytest
import torch
from tests.builders import build_vector

from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.applying import steer
from shiftlens.steering.scopes import SCOPES


class _Interrupted(Exception):
    pass


def _states(model: Model, inputs: Inputs) -> list[torch.Tensor]:
    """The last block's states over a generation."""
    with record(model, [-1]) as seen:
        generate(model, inputs, max_new_tokens=5)
    return next(iter(seen.states.values()))


def _same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(a.equal(b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("scope", SCOPES)
def test_strength_zero_changes_no_bit(brief: Model, questions: list[Sample], scope: str) -> None:
    inputs = encode(brief, questions)
    plain = _states(brief, inputs)
    with steer(brief, build_vector(length=1e4), strength=0.0, scope=scope):
        assert _same(_states(brief, inputs), plain)


def test_twin_a_small_strength_does(brief: Model, questions: list[Sample]) -> None:
    inputs = encode(brief, questions)
    plain = _states(brief, inputs)
    with steer(brief, build_vector(), strength=1e-3):
        assert not _same(_states(brief, inputs), plain)


def test_nested_opposites_cancel_up_to_rounding(brief: Model, questions: list[Sample]) -> None:
    inputs, vector = encode(brief, questions), build_vector()
    plain = _states(brief, inputs)
    with steer(brief, vector, strength=0.7), steer(brief, vector, strength=-0.7):
        both = _states(brief, inputs)
    for ours, theirs in zip(both, plain, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("strength", [-0.6, 0.7])
def test_twin_others_do_not_cancel(brief: Model, questions: list[Sample], strength: float) -> None:
    inputs, vector = encode(brief, questions), build_vector()
    plain = _states(brief, inputs)[0]
    with steer(brief, vector, strength=0.7), steer(brief, vector, strength=strength):
        other = _states(brief, inputs)[0]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(other, plain, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_batch_says_what_its_samples_say(
    brief: Model, questions: list[Sample], scope: str
) -> None:
    """Left padding is never steered, and a longer neighbour changes nothing."""
    vector = build_vector(length=60.0)
    with steer(brief, vector, scope=scope):
        batch = generate(brief, encode(brief, questions), max_new_tokens=6)
    with steer(brief, vector, scope=scope):
        alone = [generate(brief, encode(brief, [s]), max_new_tokens=6)[0] for s in questions]
    assert batch == alone


def test_twin_without_steering_they_say_something_else(
    brief: Model, questions: list[Sample]
) -> None:
    with steer(brief, build_vector(length=60.0)):
        steered = generate(brief, encode(brief, questions), max_new_tokens=6)
    assert generate(brief, encode(brief, questions), max_new_tokens=6) != steered


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "raises"])
def test_the_model_is_given_back(tuned: Model, questions: list[Sample], fails: bool) -> None:
    inputs, vector = encode(tuned, questions[:2]), build_vector(tuned.address.d, length=50.0)
    before = forward(tuned, inputs).logits
    weights = {name: tensor.clone() for name, tensor in tuned.hf.state_dict().items()}
    try:
        with steer(tuned, vector):
            assert not forward(tuned, inputs).logits.equal(before)
            if fails:
                raise _Interrupted
    except _Interrupted:
        pass
    assert forward(tuned, inputs).logits.equal(before)
    assert all(weights[name].equal(tensor) for name, tensor in tuned.hf.state_dict().items())


def test_steering_is_linear_in_its_strength(brief: Model, questions: list[Sample]) -> None:
    """Half of twice a vector is the vector."""
    inputs, vector = encode(brief, questions), build_vector()
    with steer(brief, vector):
        once = _states(brief, inputs)
    with steer(brief, vector * 2.0, strength=0.5):
        halved = _states(brief, inputs)
    for ours, theirs in zip(once, halved, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
