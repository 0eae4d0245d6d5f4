"""Steering in every way of generating: beams, samples, batches, with a cache and without."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from tests.builders import build_vector
from tests.watching import Seen, watch

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import Gate, PromptSays, StateGate, When
from shiftlens.steering.scopes import SCOPES

NEW = 5


@dataclass(frozen=True, eq=False)
class Remembering(StateGate):
    """Open where an entry of the state is positive; remembers what it was shown."""

    layer: int
    every_step: bool = False
    entry: int = 0
    seen: list[torch.Tensor] = field(default_factory=list)

    def opens(self, states: torch.Tensor) -> torch.Tensor:
        self.seen.append(states.clone())
        return states[:, self.entry] > 0

    def describe(self) -> dict[str, Any]:
        return {"gate": "remembering", "layer": self.layer}


MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "beams, several answers": {"num_beams": 3, "num_return_sequences": 2},
    "sampled": {"do_sample": True},
    "sampled, several answers": {"do_sample": True, "num_return_sequences": 2, "top_k": 5},
    "beams, sampled": {"num_beams": 2, "do_sample": True},
}
modes = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def _rows(samples: int, mode: dict[str, Any]) -> int:
    each = mode["num_beams"] if "num_beams" in mode else mode.get("num_return_sequences", 1)
    return samples * each


def _both(
    model: Model, samples: list[Sample], one: Intervention, mode: dict[str, Any]
) -> list[Seen]:
    """With a cache and without: the same random numbers."""
    found: list[Seen] = []
    for use_cache in (True, False):
        torch.manual_seed(3)
        found.append(watch(model, samples, one, use_cache=use_cache, max_new_tokens=NEW, **mode))
    return found


def _agree(cached: Seen, plain: Seen, *, beams: bool) -> None:
    assert cached.ids.equal(plain.ids)
    assert cached.told() == plain.told()
    one, other = cached.one, plain.one
    for name in ("selected", "tokens", "touched", "samples", "gate_open", "gate_steps"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.dose == pytest.approx(other.dose, rel=1e-3)
    assert one.cosine == pytest.approx(other.cosine, abs=1e-3)
    if not beams:  # they change places, and take what was done to them along
        assert cached.changed.equal(plain.changed), "what is computed again is steered again"


@modes
@pytest.mark.parametrize("scope", ["response", "prompt", "generated"])
def test_every_mode_is_the_same_with_and_without_a_cache(
    brief: Model, questions: list[Sample], scope: str, mode: dict[str, Any]
) -> None:
    one = Intervention(build_vector(length=20.0), scope=scope)
    cached, plain = _both(brief, questions[:3], one, mode)
    _agree(cached, plain, beams="num_beams" in mode)
    assert cached.told() == cached.places()
    assert cached.one.samples == _rows(3, mode)
    assert cached.one.tokens == int(cached.changed.sum())
    assert cached.one.dose == pytest.approx(cached.dose(), rel=1e-4)


@modes
def test_steering_changes_what_is_said_and_leaves_nothing(
    tiny: Model, questions: list[Sample], mode: dict[str, Any]
) -> None:
    one = Intervention(build_vector(layer=3, length=200.0))
    said: list[torch.Tensor] = []
    for strength in (0.0, 1.0, 0.0):
        torch.manual_seed(3)
        part = Intervention(one.vector, strength)
        said.append(watch(tiny, questions[:2], part, max_new_tokens=NEW, **mode).ids)
    assert said[0].equal(said[2])
    assert said[0].shape != said[1].shape or not said[0].equal(said[1])


@modes
@pytest.mark.parametrize("every_step", [False, True])
def test_gates_in_every_mode(
    brief: Model, questions: list[Sample], mode: dict[str, Any], every_step: bool
) -> None:
    gate = Remembering(0, every_step, entry=3)
    one = Intervention(build_vector(length=20.0), gate=gate)
    cached, plain = _both(brief, questions[:4], one, mode)
    _agree(cached, plain, beams="num_beams" in mode)
    assert cached.told() == cached.places()
    flags = list(cached.one.gate_open)
    assert any(flags)
    assert not all(flags) or every_step
    if not every_step:  # all beams, and samples, of a prompt share its decision
        each = _rows(1, mode)
        assert all(len({*flags[i : i + each]}) == 1 for i in range(0, len(flags), each))
        touched = [place[0] for place in cached.told()]
        assert touched == [row for row, flag in enumerate(flags) if flag]
        assert cached.one.gate_steps == ()


def test_a_gate_decides_each_step_from_the_state_there(
    brief: Model, questions: list[Sample]
) -> None:
    """What it was shown, and where it was open, compared with a recording of its block."""
    gate = Remembering(1, every_step=True)
    with record(brief, [1]) as states:
        seen = watch(
            brief, questions, Intervention(build_vector(layer=1), gate=gate), max_new_tokens=NEW
        )
    shown = [states.states[1][0][:, -1], *(part[:, 0] for part in states.states[1][1:])]
    assert len(gate.seen) == len(shown)
    for ours, theirs in zip(gate.seen, shown, strict=True):
        assert ours.equal(theirs), "the state before the block's own edit"
    opened = torch.stack([part[:, 0] > 0 for part in shown], dim=1)
    for row, steps in enumerate(seen.one.gate_steps):
        said = seen.ids[row, seen.width :].tolist()
        alive = [True] + [token not in (0, 2) for token in said[: opened.shape[1] - 1]]
        wanted = [
            at
            for at, (flag, lives) in enumerate(zip(opened[row].tolist(), alive, strict=True))
            if flag and lives
        ]
        assert list(steps) == wanted
        at = (seen.changed[row].nonzero().flatten() - seen.width + 1).tolist()
        assert at == wanted, "the scope 'response' has the positions at which it decides"
    assert seen.one.gate_open == tuple(bool(steps) for steps in seen.one.gate_steps)


@pytest.mark.parametrize("scope", [*SCOPES])
def test_batched_is_alone(brief: Model, questions: list[Sample], scope: str) -> None:
    """Left padding, early ends and neighbours change neither gate nor receipt."""
    if scope in ("all", "prompt"):
        gate: Gate = PromptSays(("dog", "man"))
    else:
        gate = Remembering(0, every_step=True, entry=3) & ~PromptSays(("snow",))
    one = Intervention(build_vector(length=20.0), scope=scope, gate=gate)
    whole = watch(brief, questions, one, max_new_tokens=6)
    for row, sample in enumerate(questions):
        with steer(brief, one) as receipt:
            said = generate(brief, encode(brief, [sample]), max_new_tokens=6)
        alone, own = receipt.vectors[0], whole.ids[row, whole.width :].tolist()
        assert list(said[0].token_ids) == own[: len(said[0].token_ids)]
        told = [place[1:] for place in whole.told() if place[0] == row]
        assert told == [(place.tokens, place.first, place.last) for place in alone.places]
        assert whole.one.gate_open[row] == alone.gate_open[0]
        if alone.gate_steps:
            assert whole.one.gate_steps[row] == alone.gate_steps[0]


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_rule_may_look_at_the_step(
    brief: Model, questions: list[Sample], use_cache: bool
) -> None:
    """Each position is decided at its own step, also where all of them are computed again."""
    steps: list[int] = []

    def late(reading: Any) -> torch.Tensor:
        steps.append(reading.step)
        return torch.full((reading.rows,), reading.step >= 2)

    gate = When(late, every_step=True)
    one = Intervention(build_vector(), gate=gate)
    seen = watch(brief, questions[1:3], one, use_cache=use_cache, max_new_tokens=NEW)
    assert [place[2] for place in seen.told()] == [2, 2]
    assert seen.told() == seen.places()
    assert seen.one.gate_steps == ((2, 3, 4), (2, 3, 4))
    assert set(steps) == {0, 1, 2, 3, 4}


def test_a_rule_is_asked_once_a_call_however_many_blocks_it_guards(
    tiny: Model, questions: list[Sample]
) -> None:
    asked: list[int] = []

    def once(reading: Any) -> torch.Tensor:
        asked.append(reading.step)
        return torch.ones(reading.rows, dtype=torch.bool)

    for every_step, expected in ((False, [0]), (True, [0, 1, 2])):
        asked.clear()
        gate = When(once, every_step=every_step)
        twice = gate & gate
        with steer(tiny, build_vector(), layers=[0, 1, 3], gate=twice):
            generate(tiny, encode(tiny, questions[:2]), max_new_tokens=3)
        assert asked == expected


@pytest.mark.parametrize("scope", ["generated", "words@response:.,a,the"])
@pytest.mark.parametrize("kind", ["words", "rule", "state"])
def test_a_scope_behind_the_prompt_keeps_what_was_decided_there(
    tiny: Model, questions: list[Sample], scope: str, kind: str
) -> None:
    gates: dict[str, Gate] = {
        "words": PromptSays(("dog", "man")),
        "rule": When(lambda reading: torch.tensor(["dog" in one for one in reading.texts()])),
        "state": Remembering(1, entry=5),
    }
    seen = watch(tiny, questions, Intervention(build_vector(), scope=scope, gate=gates[kind]))
    flags = seen.one.gate_open
    assert any(flags)
    assert not all(flags)
    assert {place[0] for place in seen.told()} <= {row for row, flag in enumerate(flags) if flag}
    if scope == "generated":
        assert [place[0] for place in seen.told()] == [row for row, one in enumerate(flags) if one]


def test_given_decisions_are_shared_by_the_beams_of_a_sample(
    tiny: Model, questions: list[Sample]
) -> None:
    one = Intervention(build_vector(), gate=Remembering(0))
    flags = [True, False, True]
    seen = watch(tiny, questions[:3], one, num_beams=2, steering={"decisions": [flags]})
    assert list(seen.one.gate_open) == [True, True, False, False, True, True]
    assert [place[0] for place in seen.told()] == [0, 1, 4, 5]


def test_but_not_by_other_samples(tiny: Model, questions: list[Sample]) -> None:
    """Half as many decisions as samples are a mistake, not beams."""
    one = Intervention(build_vector(), gate=Remembering(0))
    with pytest.raises(SteeringError, match="2 gate decisions for 4 samples"):
        watch(tiny, questions[:4], one, steering={"decisions": [[True, False]]})
    alike = [Sample(one.id, "what is this ?", one.images) for one in questions[:4]]
    with pytest.raises(SteeringError, match="2 gate decisions for 4 samples"):
        watch(tiny, alike, one, steering={"decisions": [[True, False]]})


def test_decisions_without_a_gate_are_refused(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="decisions were given for a vector without a gate"):
        with steer(tiny, build_vector(), decisions=[[True]]):
            pass


def test_an_answer_read_again_as_a_prompt_is_a_prompt(
    brief: Model, questions: list[Sample]
) -> None:
    """One call more than a generation with a cache had columns does not belong to it."""
    inputs = encode(brief, questions[1:2])
    with torch.no_grad(), steer(brief, build_vector(), scope="prompt") as receipt:
        ids = brief.hf.generate(**inputs.tensors, max_new_tokens=3, min_new_tokens=3)
        more = {"pixel_values": inputs.tensors["pixel_values"]}
        brief.hf(input_ids=ids, attention_mask=torch.ones_like(ids), **more)
    width = inputs.prompt_width
    assert [one.tokens for one in receipt.vectors[0].places] == [width, width + 3]


def test_a_cache_that_was_filled_before_is_refused(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:1])
    with torch.no_grad():
        first = tiny.hf(**inputs.tensors, use_cache=True)
        token = torch.tensor([[5]])
        with pytest.raises(SteeringError, match=r"goes on from \d+ cached positions, where 0 were"):
            with steer(tiny, build_vector()):
                tiny.hf(input_ids=token, past_key_values=first.past_key_values)


def test_a_right_padded_pass_is_decided_at_its_last_real_position(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:2], response_ids=[[5, 6], [7, 8, 9, 10]])
    gate = Remembering(1)
    with record(tiny, [1]) as states, steer(tiny, build_vector(), gate=gate, scope="last_prompt"):
        forward(tiny, inputs)
    lasts = [int(mask.nonzero().max()) for mask in inputs.tensors["attention_mask"]]
    assert lasts[0] != lasts[1]
    assert gate.seen[0].equal(states.states[1][0][torch.arange(2), lasts])


def test_without_a_mask_every_token_of_the_prompt_is_real(tiny: Model) -> None:
    """Ends of earlier turns are read like any other token."""
    ids = torch.tensor([[1, 5, 2, 9, 0, 7]])
    with torch.no_grad(), steer(tiny, build_vector(), scope="all") as receipt:
        tiny.hf(input_ids=ids)
    assert receipt.tokens == 6


def test_gradients_flow_through_steering(tiny: Model, questions: list[Sample]) -> None:
    """A pass with gradients is steered like any other, and counted without keeping its graph."""
    inputs = encode(tiny, questions[:2])
    with steer(tiny, build_vector(), scope="all") as receipt:
        logits = tiny.hf(**inputs.tensors).logits
    with torch.no_grad(), steer(tiny, build_vector(), scope="all"):
        assert tiny.hf(**inputs.tensors).logits.equal(logits)
    weight = tiny.address.head(tiny.hf).weight
    (gradient,) = torch.autograd.grad(logits.sum(), [weight])
    assert bool(gradient.abs().sum() > 0)
    assert receipt.tokens == int(inputs.tensors["attention_mask"].sum())


@pytest.mark.parametrize("scope", ["all", "prompt", "image", "words:the"])
def test_a_gate_of_steps_has_nothing_to_say_about_a_prompt(tiny: Model, scope: str) -> None:
    """Negated it would be open where nothing was decided."""
    gate = ~When(lambda reading: torch.zeros(reading.rows, dtype=torch.bool), every_step=True)
    with pytest.raises(SteeringError, match=f"decides where a token is emitted, and scope {scope}"):
        with steer(tiny, build_vector(), scope=scope, gate=gate):
            pass
