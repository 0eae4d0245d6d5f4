"""``steer``: what it refuses, what its receipt says."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.builders import build_vector

from shiftlens.core.errors import MismatchError, SiteError, SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import generate
from shiftlens.models.hooks import record
from shiftlens.models.model import Model
from shiftlens.models.prompts import encode
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import StateGate


@dataclass(frozen=True, eq=False)
class Fixed(StateGate):
    """A gate with known decisions that remembers what it was shown."""

    layer: int
    flags: tuple[bool, ...]
    seen: list[torch.Tensor]

    def opens(self, states: torch.Tensor) -> torch.Tensor:
        self.seen.append(states.clone())
        return torch.tensor(self.flags[: len(states)])

    def describe(self) -> dict[str, Any]:
        return {"gate": "fixed", "layer": self.layer}


def _fixed(layer: int, *flags: bool) -> Fixed:
    return Fixed(layer, flags, [])


def test_nothing_generated_is_refused(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="nothing was generated"):
        with steer(tiny, build_vector()):
            pass


def test_a_scope_that_selects_nothing_is_refused(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2])
    with pytest.raises(SteeringError, match="'generated' selected no position"):
        with steer(tiny, build_vector(), scope="generated"):
            generate(tiny, inputs, max_new_tokens=1)


def test_an_exception_is_not_hidden_behind_that(tiny: Model) -> None:
    with pytest.raises(KeyError), steer(tiny, build_vector()):
        raise KeyError("mine")


def test_no_vector_is_refused(tiny: Model) -> None:
    with pytest.raises(SteeringError, match="no vector"), steer(tiny, []):
        pass


def test_a_layer_outside_the_model_is_refused(tiny: Model) -> None:
    with pytest.raises(SiteError, match="layer 4 is outside"), steer(tiny, build_vector(layer=4)):
        pass


def test_another_width_is_refused(tiny: Model) -> None:
    with pytest.raises(MismatchError, match="has 16 entries") as caught:
        with steer(tiny, build_vector(16)):
            pass
    assert "width 32" in str(caught.value)


def test_other_weights_are_refused_and_own_ones_are_not(
    tiny: Model, brief: Model, questions: list[Sample]
) -> None:
    vector = build_vector(provenance={"model": tiny.identity})
    with pytest.raises(MismatchError, match="other weights"), steer(brief, vector):
        pass
    with steer(tiny, vector):
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)


def test_the_base_takes_a_vector_of_its_adapter(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    """One adapter apart, the weights are the same: a shift may be added to the base."""
    vector = build_vector(base.address.d, provenance={"model": tuned.identity})
    with steer(base, vector):
        generate(base, encode(base, questions[:1]), max_new_tokens=1)


def test_a_gate_behind_its_vector_is_refused(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(SteeringError, match="reads block 2, behind block 1"):
        with steer(tiny, build_vector(layer=1), gate=_fixed(2, True)):
            pass
    with steer(tiny, build_vector(layer=1), gate=_fixed(1, True)):
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)


def test_too_few_decisions_are_refused(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:3])
    with pytest.raises(SteeringError, match="2 gate decisions for 3 samples"):
        with steer(tiny, build_vector(), gate=_fixed(0, True, False)):
            generate(tiny, inputs, max_new_tokens=1)
    with pytest.raises(SteeringError, match="2 lists of decisions for 1 vectors"):
        with steer(tiny, [build_vector()], decisions=[[True], [True]]):
            pass


def test_a_gate_reads_the_last_prompt_state_before_the_edit(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:3])
    with record(tiny, [1]) as plain:
        generate(tiny, inputs, max_new_tokens=3)
    gate = _fixed(1, True, False, True)
    with steer(tiny, build_vector(layer=1, length=50.0), gate=gate):
        generate(tiny, inputs, max_new_tokens=3)
    assert len(gate.seen) == 1, "decided once, for the whole response"
    assert gate.seen[0].equal(plain.states[1][0][:, -1])


@pytest.mark.parametrize("use_cache", [True, False])
def test_an_open_gate_steers_its_sample_and_no_other(
    tiny: Model, questions: list[Sample], use_cache: bool
) -> None:
    inputs, vector = encode(tiny, questions[:3]), build_vector(layer=3, length=200.0)
    options: dict[str, Any] = {"max_new_tokens": 4, "use_cache": use_cache}
    plain = generate(tiny, inputs, **options)
    with steer(tiny, vector):
        everywhere = generate(tiny, inputs, **options)
    with steer(tiny, vector, gate=_fixed(2, True, False, True)) as receipt:
        gated = generate(tiny, inputs, **options)
    assert gated == [everywhere[0], plain[1], everywhere[2]]
    assert plain[1] != everywhere[1]
    (one,) = receipt.vectors
    assert (one.samples, one.touched, one.gate_open) == (3, 2, (True, False, True))
    assert one.gate == {"gate": "fixed", "layer": 2}


def test_a_closed_gate_is_a_result(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2])
    plain = generate(tiny, inputs, max_new_tokens=4)
    with steer(tiny, build_vector(), gate=_fixed(0, False, False)) as receipt:
        assert generate(tiny, inputs, max_new_tokens=4) == plain
    (one,) = receipt.vectors
    assert (one.tokens, one.touched, one.gate_open) == (0, 0, (False, False))
    assert "gate open for 0" in one.summary()


def test_known_decisions_take_the_place_of_the_gate(tiny: Model, questions: list[Sample]) -> None:
    inputs, gate = encode(tiny, questions[:2]), _fixed(0, True, True)
    with steer(tiny, [Intervention(build_vector(), gate=gate)], decisions=[[False, True]]) as seen:
        generate(tiny, inputs, max_new_tokens=2)
    assert gate.seen == []
    assert seen.vectors[0].gate_open == (False, True)


def test_the_receipt_counts_and_measures(tiny: Model, questions: list[Sample]) -> None:
    inputs, vector = encode(tiny, questions), build_vector(layer=2, length=4.0)
    with record(tiny, [2]) as before, steer(tiny, vector, strength=-1.5) as receipt:
        generate(tiny, inputs, max_new_tokens=1)
    states = before.states[2][0][:, -1]
    (one,) = receipt.vectors
    assert (one.tokens, one.samples, one.touched) == (6, 6, 6)
    assert one.dose == pytest.approx(1.5 * 4.0 / float(states.norm(dim=1).mean()), rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(states, vector.direction[None], dim=1)
    assert one.cosine == pytest.approx(float(cosine.mean()), abs=1e-5)
    assert receipt.to_dict()["vectors"][0]["strength"] == -1.5
    assert "6 tokens in 6 of 6 samples" in receipt.summary()


def test_a_batch_has_the_receipt_of_its_samples(brief: Model, questions: list[Sample]) -> None:
    """A sample that ends early is not steered, and not counted, while the others go on."""
    vector = build_vector()
    with steer(brief, vector) as whole:
        generate(brief, encode(brief, questions), max_new_tokens=7)
    with steer(brief, vector) as single:
        for sample in questions:
            generate(brief, encode(brief, [sample]), max_new_tokens=7)
    one, other = whole.vectors[0], single.vectors[0]
    assert (one.tokens, one.samples, one.touched) == (other.tokens, other.samples, other.touched)
    assert one.dose == pytest.approx(other.dose, rel=1e-4)


def test_several_vectors_have_a_receipt_each(tiny: Model, questions: list[Sample]) -> None:
    first, second = build_vector(layer=0, seed=1), build_vector(layer=2, seed=2)
    closed = Intervention(second, strength=2.0, scope="last_prompt", gate=_fixed(1, False))
    with steer(tiny, [first, closed], strength=0.5) as receipt:
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=2)
    shown = [(one.name, one.layer, one.strength, one.scope) for one in receipt.vectors]
    assert shown == [("random 1", 0, 0.5, "response"), ("random 2", 2, 2.0, "last_prompt")]
    assert [one.tokens for one in receipt.vectors] == [2, 0]


def test_two_vectors_at_one_block_add_up(tiny: Model, questions: list[Sample]) -> None:
    inputs = encode(tiny, questions[:2])
    first, second = build_vector(seed=1), build_vector(seed=2)
    with steer(tiny, [first, second]), record(tiny, [1]) as apart:
        generate(tiny, inputs, max_new_tokens=1)
    with steer(tiny, first + second), record(tiny, [1]) as together:
        generate(tiny, inputs, max_new_tokens=1)
    torch.testing.assert_close(apart.states[1][0], together.states[1][0])


def test_strength_zero_says_so_in_its_receipt(tiny: Model, questions: list[Sample]) -> None:
    with steer(tiny, build_vector(), strength=0.0) as receipt:
        generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)
    assert "strength 0, nothing changed" in receipt.summary()
    assert receipt.tokens == 0
