"""Contexts in contexts, in threads, with exceptions; one vector after several blocks."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.core.errors import ShiftLensError, SiteError, SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import Reading, When
from shiftlens.steering.keeping.steering import several
from shiftlens.steering.operators import Ablate
from shiftlens.steering.responding import steer_responses
from shiftlens.steering.scopes import Named, Scope


def _hooks(model: Model) -> int:
    """Every hook of every module, ours or not."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(one, kind)) for one in model.hf.modules() for kind in kinds)


def _in_thread(work: Callable[[], Any]) -> Any:
    """What another thread returns, or the exception that ended it."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=60)
    assert found, "the thread hangs"
    return found[0]


def test_another_thread_is_refused_while_a_context_is_open(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs, vector = encode(tiny, questions[:2]), build_vector()
    plain = generate(tiny, inputs, max_new_tokens=3)

    def steered() -> Any:
        with steer(tiny, build_vector(layer=3, length=200.0)):
            return generate(tiny, inputs, max_new_tokens=3)

    with steer(tiny, vector) as receipt:
        mine = generate(tiny, inputs, max_new_tokens=3)
        for work in (
            lambda: generate(tiny, inputs, max_new_tokens=3),
            lambda: tiny.respond(questions[:1], max_new_tokens=1),
            lambda: steer_responses(tiny, questions[:1], [Intervention(vector)], max_new_tokens=1),
            steered,
        ):
            error = _in_thread(work)
            assert isinstance(error, ShiftLensError), error
            assert "in use by another thread" in str(error)
        assert generate(tiny, inputs, max_new_tokens=3) == mine, "not even disturbed"
    assert receipt.vectors[0].samples == 4
    assert _in_thread(lambda: generate(tiny, inputs, max_new_tokens=3)) == plain
    assert _in_thread(steered) != plain
    assert generate(tiny, inputs, max_new_tokens=3) == plain


def test_a_pair_shares_its_module_and_its_turn(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    inputs = encode(base, questions[:1])
    with steer(base, build_vector(base.address.d)):
        error = _in_thread(lambda: generate(tuned, inputs, max_new_tokens=1))
        assert "in use by another thread" in str(error)
        generate(base, inputs, max_new_tokens=1)


def test_the_outer_context_comes_first(tiny: Model, questions: list[Sample]) -> None:
    """Adding and taking away do not commute: only the later one has its way."""
    inputs = encode(tiny, questions[:2])
    add = Intervention(build_vector(length=9.0), scope="all")
    ablate = Intervention(add.vector, scope="all", operator=Ablate())
    unit = torch.nn.functional.normalize(build_vector().direction, dim=0)

    def along(*contexts: Intervention, together: bool = False) -> torch.Tensor:
        with record(tiny, [1]) as plain:
            forward(tiny, inputs)
        if together:
            with steer(tiny, contexts), record(tiny, [1]) as seen:
                forward(tiny, inputs)
        else:
            outer, inner = contexts
            with steer(tiny, outer), steer(tiny, inner), record(tiny, [1]) as seen:
                forward(tiny, inputs)
        real = inputs.tensors["attention_mask"].bool()
        assert seen.states[1][0][~real].equal(plain.states[1][0][~real])
        return seen.states[1][0][real] @ unit

    zero = torch.zeros(int(inputs.tensors["attention_mask"].sum()))
    for together in (False, True):
        last_ablates = along(add, ablate, together=together)
        torch.testing.assert_close(last_ablates, zero, atol=1e-4, rtol=0)
        last_adds = along(ablate, add, together=together)
        torch.testing.assert_close(last_adds, zero + 9.0, atol=1e-4, rtol=1e-4)


def test_an_inner_gate_reads_what_the_outer_context_made(
    tiny: Model, questions: list[Sample]
) -> None:
    shown: list[torch.Tensor] = []

    def rule(reading: Reading) -> torch.Tensor:
        shown.append(reading.require_states())
        return torch.ones(reading.rows, dtype=torch.bool)

    inputs, outer, inner = encode(tiny, questions[:2]), build_vector(), build_vector(seed=1)
    with record(tiny, [1]) as plain:
        forward(tiny, inputs)
    with steer(tiny, outer), steer(tiny, inner, gate=When(rule, layer=1)):
        forward(tiny, inputs)
    # Within one context a gate reads before any edit of its block.
    with steer(tiny, [Intervention(outer), Intervention(inner, gate=When(rule, layer=1))]):
        forward(tiny, inputs)
    last = plain.states[1][0][:, -1]
    torch.testing.assert_close(shown[0], last + outer.direction)
    assert shown[1].equal(last)


def test_leaving_the_inner_context_leaves_the_outer_one(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:2])
    first, second = build_vector(), build_vector(layer=2, seed=1)
    plain, hooks = forward(tiny, inputs).logits, _hooks(tiny)
    with steer(tiny, first) as outer:
        once = forward(tiny, inputs).logits
        with steer(tiny, second) as inner:
            twice = forward(tiny, inputs).logits
        assert forward(tiny, inputs).logits.equal(once)
    assert forward(tiny, inputs).logits.equal(plain)
    assert not once.equal(twice)
    assert (outer.vectors[0].samples, inner.vectors[0].samples) == (6, 2)
    assert _hooks(tiny) == hooks


class _Broken(Scope):
    """A scope that fails, at the prompt or later."""

    from_prompt = False

    def __init__(self, *, late: bool) -> None:
        self._late = late

    def mask(self, call: Any) -> torch.Tensor:
        if bool(call.generated.any()) or not self._late:
            raise LookupError("mine")
        return Named("response").mask(call)

    def __str__(self) -> str:
        return "broken"


def _fails(reading: Reading, *, at: int) -> torch.Tensor:
    if reading.step == at:
        raise LookupError("mine")
    return torch.ones(reading.rows, dtype=torch.bool)


def _ways() -> dict[str, Intervention]:
    vector = build_vector(layer=2)
    found = {
        f"gate, layer {layer}, step {step}": Intervention(
            vector,
            gate=When(lambda r, step=step: _fails(r, at=step), layer=layer, every_step=step > 0),
        )
        for layer in (None, 1)
        for step in (0, 2)
    }
    found["scope"] = Intervention(vector, scope=_Broken(late=False))
    found["scope, later"] = Intervention(vector, scope=_Broken(late=True))
    return found


@pytest.mark.parametrize("way", _ways().values(), ids=_ways())
@pytest.mark.parametrize("use_cache", [True, False])
def test_whatever_fails_the_model_is_given_back(
    tiny: Model, questions: list[Sample], way: Intervention, use_cache: bool
) -> None:
    inputs = encode(tiny, questions[:2])
    hooks, logits = _hooks(tiny), forward(tiny, inputs).logits
    weights = [tensor.clone() for tensor in tiny.hf.state_dict().values()]
    with pytest.raises(LookupError, match="mine"):
        with steer(tiny, build_vector()), steer(tiny, way, first_token_kl=True):
            generate(tiny, inputs, max_new_tokens=4, use_cache=use_cache)
    assert _hooks(tiny) == hooks
    assert forward(tiny, inputs).logits.equal(logits)
    assert all(map(torch.equal, weights, tiny.hf.state_dict().values()))
    assert tiny.tenancy.running is None
    with steer(tiny, build_vector()):  # and can be steered again, also in another thread
        generate(tiny, inputs, max_new_tokens=1)
    assert not isinstance(_in_thread(lambda: forward(tiny, inputs)), Exception)


def test_a_context_goes_on_after_a_generation_that_failed(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs, failing = encode(tiny, questions[:2]), [True]

    def rule(reading: Reading) -> torch.Tensor:
        if failing[0]:
            raise LookupError("mine")
        return torch.ones(reading.rows, dtype=torch.bool)

    with steer(tiny, build_vector(), gate=When(rule, layer=0)) as receipt:
        with pytest.raises(LookupError):
            generate(tiny, inputs, max_new_tokens=2)
        failing[0] = False
        generate(tiny, inputs, max_new_tokens=2)
    assert [place.sample for place in receipt.vectors[0].places] == [2, 3]
    assert receipt.vectors[0].gate_open == (False, False, True, True)


def test_refusals_leave_nothing(tiny: Model) -> None:
    hooks = _hooks(tiny)
    for bad in (
        {"scope": "nowhere"},
        {"strength": float("nan")},
        {"strength": float("inf")},
        {"strength": "1"},
        {"layers": [9]},
        {"layers": []},
        {"layers": [1, -3]},
    ):
        with pytest.raises((SteeringError, SiteError, TypeError)):
            with steer(tiny, Intervention(build_vector(), **bad)):  # pyright: ignore
                pass
    assert _hooks(tiny) == hooks
    assert tiny.tenancy._owner is None


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"strength": float("nan")}, "strength nan is not a finite number"),
        ({"strength": float("-inf")}, "strength -inf is not a finite number"),
        ({"layers": ()}, r"layers \(\) of 'random 0'\n  one or more, each once"),
        ({"layers": (1, 2, -3)}, r"layers \(1, 2, -3\) of 'random 0'"),
        ({"layers": (4,)}, "layer 4 is outside"),
    ],
)
def test_what_is_refused_is_named(tiny: Model, fields: dict[str, Any], match: str) -> None:
    with pytest.raises(ShiftLensError, match=match):
        with steer(tiny, Intervention(build_vector(), **fields)):
            pass


def test_a_bare_direction_is_no_vector(tiny: Model) -> None:
    for bad in (build_vector().direction, "a vector", None):
        one: Any = Intervention.__new__(Intervention)
        for name, value in {**vars(Intervention(build_vector())), "vector": bad}.items():
            object.__setattr__(one, name, value)
        with pytest.raises(SteeringError, match="is not a steering vector") as caught:
            with steer(tiny, [one]):
                pass
        assert "which knows its layer" in str(caught.value)


@pytest.mark.parametrize(
    "what", ["runs/vector", None, 3, ["runs/vector"], build_vector().direction]
)
def test_what_is_no_vector_is_named_with_what_is(what: Any) -> None:
    with pytest.raises(SteeringError, match="is not a steering vector") as caught:
        several(what)
    assert "SteeringVector.load(PATH)" in caught.value.remedy


def test_one_and_several_are_a_list() -> None:
    one = build_vector()
    assert several(one) == [one]
    assert several((one, one)) == [one, one]


# One vector after several blocks.


@pytest.mark.parametrize("operator", [None, Ablate()])
def test_one_vector_after_several_blocks(
    brief: Model, questions: list[Sample], operator: Any
) -> None:
    """A receipt for each block, and the same as several interventions by hand."""
    inputs, vector = encode(brief, questions), build_vector(length=9.0)
    gate = When(lambda reading: reading.require_states()[:, 3] > 0, layer=0)
    options: dict[str, Any] = {"strength": 0.5, "gate": gate, "operator": operator}
    with steer(brief, vector, layers=[0, 2, -1], **options) as once, record(brief, [3]) as seen:
        said = generate(brief, inputs, max_new_tokens=5)
    apart = [
        Intervention(vector, 0.5, gate=gate, operator=operator, layers=(layer,))
        for layer in (0, 2, 3)
    ]
    with steer(brief, apart) as by_hand, record(brief, [3]) as other:
        assert generate(brief, inputs, max_new_tokens=5) == said
    assert [one.layer for one in once.vectors] == [0, 2, 3]
    assert once.vectors == by_hand.vectors
    assert all(map(torch.equal, seen.states[3], other.states[3]))
    assert len({one.dose for one in once.vectors}) == 3
    assert any(once.vectors[0].gate_open)
    assert not all(once.vectors[0].gate_open)


def test_the_gate_must_come_before_the_first_of_them(tiny: Model) -> None:
    gate = When(lambda reading: reading.require_states()[:, 3] > 0, layer=2)
    with pytest.raises(SteeringError, match="reads block 2, behind block 0 that it guards"):
        with steer(tiny, build_vector(layer=3), layers=[3, 0], gate=gate):
            pass


def test_interventions_keep_their_own_layers(tiny: Model, questions: list[Sample]) -> None:
    own = Intervention(build_vector(seed=1), layers=(2,))
    with steer(tiny, [build_vector(), own], layers=[0, 1]) as receipt:
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)
    assert [(one.name, one.layer) for one in receipt.vectors] == [
        ("random 0", 0),
        ("random 0", 1),
        ("random 1", 2),
    ]
