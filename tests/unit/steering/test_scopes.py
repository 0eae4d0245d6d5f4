"""Which positions are steered: exactly those of the scope, seen through recording hooks."""

from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model, Response
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.applying import steer
from shiftlens.steering.receipt import Receipt
from shiftlens.steering.scopes import SCOPES

LAYER, NEW = 1, 7


def _run(
    model: Model, inputs: Inputs, scope: str, *, use_cache: bool
) -> tuple[list[Response], list[torch.Tensor], Receipt]:
    """Generate under steering; for each call which positions were changed: (b, t)."""
    vector = build_vector(layer=LAYER)
    with (
        record(model, [LAYER]) as before,  # opened outside the edit: sees the original
        steer(model, vector, scope=scope) as receipt,
        record(model, [LAYER]) as after,
    ):
        said = generate(model, inputs, max_new_tokens=NEW, use_cache=use_cache)
    changed: list[torch.Tensor] = []
    for old, new in zip(before.states[LAYER], after.states[LAYER], strict=True):
        delta = new - old
        mask = delta.abs().amax(dim=-1) > 0
        added = delta[mask]
        torch.testing.assert_close(added, vector.direction.expand_as(added), atol=1e-4, rtol=1e-4)
        changed.append(mask)
    return said, changed, receipt


def _expected(inputs: Inputs, said: list[Response], scope: str) -> torch.Tensor:
    """The scope in words, over prompt and response: (b, prompt + fed)."""
    prompt = inputs.tensors["attention_mask"].bool()
    fed = max(min(len(one.token_ids) + 1, NEW) for one in said) - 1
    # A response token is fed back unless it is the last one that the limit allows.
    spoken = torch.tensor([[j < len(one.token_ids) for j in range(fed)] for one in said])
    spoken = spoken.reshape(len(said), fed)
    nothing, width = torch.zeros_like(prompt), prompt.shape[1]
    last = nothing.clone()
    last[:, width - 1] = True
    halves: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
        "all": (prompt, spoken),
        "prompt": (prompt, torch.zeros_like(spoken)),
        "last_prompt": (last, torch.zeros_like(spoken)),
        "generated": (nothing, spoken),
        "response": (last, spoken),
    }
    return torch.cat(halves[scope], dim=1)


@pytest.mark.parametrize("scope", SCOPES)
def test_with_a_cache_each_scope_has_its_positions(
    brief: Model, questions: list[Sample], scope: str
) -> None:
    inputs = encode(brief, questions)
    said, changed, receipt = _run(brief, inputs, scope, use_cache=True)
    expected = _expected(inputs, said, scope)
    assert torch.cat(changed, dim=1).equal(expected)
    assert receipt.tokens == int(expected.sum())


@pytest.mark.parametrize("scope", SCOPES)
def test_without_a_cache_every_call_repeats_them(
    brief: Model, questions: list[Sample], scope: str
) -> None:
    inputs = encode(brief, questions)
    said, changed, _ = _run(brief, inputs, scope, use_cache=False)
    expected = _expected(inputs, said, scope)
    assert changed[-1].equal(expected)
    for call in changed:
        assert call.equal(expected[:, : call.shape[1]])


def test_some_prompts_are_padded_and_some_responses_end_early(
    brief: Model, questions: list[Sample]
) -> None:
    """What makes the tests above mean something."""
    inputs = encode(brief, questions)
    said, _, _ = _run(brief, inputs, "response", use_cache=True)
    assert not inputs.tensors["attention_mask"].all()
    assert len({len(one.token_ids) for one in said}) > 1


@pytest.mark.parametrize("scope", SCOPES)
def test_cache_or_not_the_same_tokens(brief: Model, questions: list[Sample], scope: str) -> None:
    inputs = encode(brief, questions)
    with_cache, _, _ = _run(brief, inputs, scope, use_cache=True)
    without, _, _ = _run(brief, inputs, scope, use_cache=False)
    assert [one.token_ids for one in with_cache] == [one.token_ids for one in without]


@pytest.mark.parametrize("scope", ["response", "all", "prompt", "last_prompt"])
def test_these_scopes_can_change_the_first_token(
    tiny: Model, questions: list[Sample], scope: str
) -> None:
    inputs = encode(tiny, questions)
    plain = generate(tiny, inputs, max_new_tokens=1)
    with steer(tiny, build_vector(layer=3, length=200.0), scope=scope):
        steered = generate(tiny, inputs, max_new_tokens=1)
    assert [one.token_ids for one in plain] != [one.token_ids for one in steered]


def test_twin_the_generated_scope_cannot(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions)
    plain = generate(tiny, inputs, max_new_tokens=3)
    with steer(tiny, build_vector(layer=3, length=200.0), scope="generated"):
        steered = generate(tiny, inputs, max_new_tokens=3)
    assert [one.token_ids[0] for one in plain] == [one.token_ids[0] for one in steered]
    assert [one.token_ids for one in plain] != [one.token_ids for one in steered]


def test_several_generations_in_one_context(brief: Model, questions: list[Sample]) -> None:
    """A second generation, also of the same prompt, begins with its own prompt again."""
    vector = build_vector(layer=LAYER)
    for use_cache in (True, False):
        inputs = encode(brief, questions[:2])
        with steer(brief, vector, scope="last_prompt") as receipt:
            for _ in range(3):
                generate(brief, inputs, max_new_tokens=2, use_cache=use_cache)
        # Without a cache the prompt is repeated in the second call, steered again, counted once.
        assert receipt.tokens == 3 * 2
        assert receipt.vectors[0].samples == 3 * 2


def test_a_teacher_forced_pass_is_all_prompt(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1])
    with steer(tiny, build_vector(layer=LAYER), scope="all") as receipt:
        forward(tiny, inputs)
    assert receipt.tokens == int(inputs.tensors["attention_mask"].sum())


def test_beams_are_steered_too(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2])
    options: dict[str, Any] = {"num_beams": 2, "max_new_tokens": 4, "do_sample": False}
    with torch.no_grad():
        plain = tiny.hf.generate(**inputs.tensors, **options)
        with steer(tiny, build_vector(layer=3, length=200.0)) as receipt:
            steered = tiny.hf.generate(**inputs.tensors, **options)
    assert not (plain.shape == steered.shape and plain.equal(steered))
    assert receipt.tokens >= 4


def test_an_unknown_scope_lists_the_scopes(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="unknown scope 'answer'") as caught:
        with steer(tiny, build_vector(layer=LAYER), scope="answer"):
            pass
    assert all(scope in str(caught.value) for scope in SCOPES)
