"""Receipts read against recordings and logits: what they say is what happened."""

import json
from typing import Any

import pytest
import torch
from tests.builders import build_vector
from tests.watching import watch

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import DataError, SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.generation import forward, generate
from shiftlens.models.hooks import edit
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.gates import PromptSays, When
from shiftlens.steering.operators import Ablate, Add, AddKeepingNorm, MoveTo, Operator
from shiftlens.steering.receipt import Receipt, VectorReceipt, merged
from shiftlens.steering.responding import steer_responses
from shiftlens.steering.scopes import SCOPES

OPERATORS = [Add(), AddKeepingNorm(), Ablate(), MoveTo(4.0)]


@pytest.mark.parametrize("scope", [*SCOPES, "image", "words:picture,the"])
def test_places_dose_and_cosine_are_what_is_measured(
    brief: Model, questions: list[Sample], scope: str
) -> None:
    vector = build_vector(length=9.0)
    seen = watch(brief, questions, Intervention(vector, -0.7, scope), max_new_tokens=7)
    one = seen.one
    assert seen.told() == seen.places()
    assert one.tokens == one.selected == int(seen.changed.sum())
    assert (one.samples, one.touched) == (6, len(seen.told()))
    states = torch.cat([part.flatten(0, 1) for part in seen.before])
    steered = torch.cat([part.flatten(0, 1) for part in seen.after])
    touched = (steered - states).abs().amax(dim=1) > 0
    rows = states[touched]
    assert one.dose == pytest.approx(0.7 * 9.0 / float(rows.norm(dim=1).mean()), rel=1e-4)
    assert one.dose == pytest.approx(seen.dose(), rel=1e-4)
    assert one.state_norm == pytest.approx(float(rows.norm(dim=1).mean()), rel=1e-5)
    cosine = torch.nn.functional.cosine_similarity(rows, vector.direction[None], dim=1)
    assert one.cosine == pytest.approx(float(cosine.mean()), abs=1e-5)


def test_long_answers_are_counted_to_the_end(tiny: Model, questions: list[Sample]) -> None:
    """Steps are read off the device in parcels: none may be lost, or counted twice."""
    shut = [0, 2, 4]  # neither padding, nor the end, nor a picture
    for new in (33, 34, 65):
        seen = watch(tiny, questions[:2], build_vector(), max_new_tokens=new, suppress_tokens=shut)
        assert seen.told() == seen.places() == [(0, new, 0, new - 1), (1, new, 0, new - 1)]
        assert seen.one.dose == pytest.approx(seen.dose(), rel=1e-4)


def test_the_cosine_of_an_affine_edit_is_that_of_its_change(
    tiny: Model, questions: list[Sample]
) -> None:
    direction = build_vector(32, length=1.0).direction
    one = AffineEdit(
        direction[:, None], direction[None], torch.zeros(32), False, Site(1), "erase", "LEACE", 1.0
    )
    seen = watch(tiny, questions[:2], one)
    states = torch.cat([part.flatten(0, 1) for part in seen.before])
    change = torch.cat([part.flatten(0, 1) for part in seen.after]) - states
    touched = change.abs().amax(dim=1) > 0
    cosine = torch.nn.functional.cosine_similarity(states[touched], change[touched], dim=1)
    assert seen.one.cosine == pytest.approx(float(cosine.mean()), abs=1e-4)
    assert seen.one.operator == "LEACE"


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda one: one.name)
@pytest.mark.parametrize("gated", [False, True])
def test_merged_receipts_are_those_of_one_batch(
    brief: Model, questions: list[Sample], operator: Operator, gated: bool
) -> None:
    gate = PromptSays(("dog", "man")) if gated else None
    one = Intervention(build_vector(length=9.0), 0.8, gate=gate, operator=operator)
    many = [one, Intervention(build_vector(layer=2, seed=4), 0.5, "image")]
    options: dict[str, Any] = {"max_new_tokens": 6, "first_token_kl": True}
    said, whole = steer_responses(brief, questions, many, **options)
    again, parts = steer_responses(brief, questions, many, batch_size=4, **options)
    assert said == again
    for first, second in zip(whole.vectors, parts.vectors, strict=True):
        _alike(first, second)
    assert whole.conflicts == parts.conflicts
    assert whole.first_token_kl == pytest.approx(parts.first_token_kl, abs=1e-4)
    assert parts.first_token_kl is not None
    assert len(parts.first_token_kl) == 6


def _alike(first: VectorReceipt, second: VectorReceipt) -> None:
    ours, theirs = first.to_dict(), second.to_dict()
    for name in ("dose", "cosine", "state_norm"):
        assert ours.pop(name) == pytest.approx(theirs.pop(name), rel=1e-3, abs=1e-5), name
    assert ours == theirs


def test_a_merged_dose_is_that_of_all_states() -> None:
    """By hand: two batches that differ in everything; one that touched nothing, one of dose 0."""

    def part(tokens: int, state_norm: float, dose: float, samples: int = 2) -> Receipt:
        receipt = Receipt()
        receipt.vectors = (
            VectorReceipt(
                "v", 1, "response", 1.0, "ablate", tokens, tokens, samples, min(tokens, 1), dose,
                0.5, None, (), state_norm=state_norm,
            ),
        )  # fmt: skip
        return receipt

    whole = merged([part(2, 10.0, 0.5), part(0, 0.0, 0.0), part(6, 2.0, 0.1), part(2, 5.0, 0.0)])
    (one,) = whole.vectors
    lengths, changes = 2 * 10 + 6 * 2 + 2 * 5, 2 * 10 * 0.5 + 6 * 2 * 0.1
    assert one.dose == pytest.approx(changes / lengths)
    assert one.state_norm == pytest.approx(lengths / 10)
    assert (one.tokens, one.samples, one.touched) == (10, 8, 3)
    assert whole.first_token_kl is None


def test_receipts_are_json(brief: Model, questions: list[Sample]) -> None:
    gate = When(lambda reading: reading.require_states()[:, 0] > 0, layer=0, every_step=True)
    many = [
        Intervention(build_vector(), gate=gate & PromptSays(("the",))),
        Intervention(build_vector(seed=1), np_strength(), operator=Ablate()),
    ]
    _, receipt = steer_responses(brief, questions, many, max_new_tokens=3, first_token_kl=True)
    data = receipt.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["vectors"][1]["operator"] == "ablate"
    assert len(data["first_token_kl"]) == 6
    assert data["vectors"][0]["gate_steps"] == [list(s) for s in receipt.vectors[0].gate_steps]
    lines = receipt.summary().split("\n")
    assert "gate open for" in lines[0]
    assert "ablate, strength 0.5" in lines[1]
    assert "nats from the unsteered one on average" in lines[-1]
    assert repr(receipt).startswith("Receipt(")


def np_strength() -> float:
    """A number of numpy's, as searches have them."""
    import numpy as np

    return np.float64(0.5)


@pytest.mark.parametrize("scope", ["response", "generated", "image"])
def test_strength_zero_does_nothing_and_still_says_what_the_gate_thought(
    brief: Model, questions: list[Sample], scope: str
) -> None:
    rule = When(lambda reading: torch.tensor(["dog" in one for one in reading.texts()]))
    inputs = encode(brief, questions)
    plain = generate(brief, inputs, max_new_tokens=4)
    logits = forward(brief, inputs).logits
    one = Intervention(build_vector(length=1e4), 0.0, scope, rule)
    with steer(brief, one, first_token_kl=True) as receipt:
        assert generate(brief, inputs, max_new_tokens=4) == plain
    with steer(brief, one):
        assert forward(brief, inputs).logits.equal(logits)
    (told,) = receipt.vectors
    assert (told.tokens, told.selected, told.dose, told.places) == (0, 0, 0.0, ())
    assert told.gate_open == tuple("dog" in q.prompt for q in questions)
    assert receipt.first_token_kl == (0.0,) * 6


# The divergence of the first token.


def _logits(model: Model, inputs: Inputs) -> torch.Tensor:
    """(b, v) of the last prompt position: prompts are padded on the left."""
    with torch.no_grad(), model.active():
        return model.hf(**inputs.tensors).logits[:, -1].double()


def _by_hand(model: Model, inputs: Inputs, vector: SteeringVector, strength: float) -> list[float]:
    """KL(steered, unsteered), with an edit of our own in place of ``steer``."""

    def change(states: torch.Tensor) -> torch.Tensor:
        moved = states.clone()
        moved[:, -1] += strength * vector.direction
        return moved

    q = torch.log_softmax(_logits(model, inputs), dim=-1)
    with edit(model, vector.layer, change):
        p = torch.log_softmax(_logits(model, inputs), dim=-1)
    return (p.exp() * (p - q)).sum(dim=-1).tolist()


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("new", [1, 4])
def test_the_divergence_is_that_of_two_passes(
    brief: Model, questions: list[Sample], use_cache: bool, new: int
) -> None:
    inputs, vector = encode(brief, questions), build_vector(length=9.0)
    assert not inputs.tensors["attention_mask"].all()
    expected = _by_hand(brief, inputs, vector, 0.6)
    assert min(expected) > 0.0
    with steer(brief, vector, strength=0.6, first_token_kl=True) as receipt:
        generate(brief, inputs, max_new_tokens=new, use_cache=use_cache)
    assert receipt.first_token_kl == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_twin_it_is_not_the_other_way_round(brief: Model, questions: list[Sample]) -> None:
    inputs, vector = encode(brief, questions), build_vector(length=9.0)
    with steer(brief, vector, strength=0.6, first_token_kl=True) as receipt:
        generate(brief, inputs, max_new_tokens=1)
    backwards = _by_hand(brief, inputs, vector, -0.6)
    assert receipt.first_token_kl != pytest.approx(backwards, rel=1e-2)


@pytest.mark.parametrize("use_cache", [True, False])
def test_measuring_it_changes_neither_answers_nor_receipt(
    brief: Model, questions: list[Sample], use_cache: bool
) -> None:
    gate = When(lambda r: r.require_states()[:, 3] > 0, layer=0, every_step=True)
    one = Intervention(build_vector(length=20.0), gate=gate)
    plain, measured = (
        watch(
            brief, questions, one, use_cache=use_cache, max_new_tokens=6,
            steering={"first_token_kl": wanted},
        )
        for wanted in (False, True)
    )  # fmt: skip
    assert plain.ids.equal(measured.ids)
    assert plain.one == measured.one
    assert plain.receipt.first_token_kl is None
    kl = measured.receipt.first_token_kl
    assert kl is not None
    shut = [0 not in steps for steps in measured.one.gate_steps]
    assert any(shut)
    for value, closed in zip(kl, shut, strict=True):
        assert (value == pytest.approx(0.0, abs=1e-6)) == closed


def test_it_is_zero_where_the_first_token_cannot_change(
    brief: Model, questions: list[Sample]
) -> None:
    with steer(brief, build_vector(), scope="generated", first_token_kl=True) as receipt:
        generate(brief, encode(brief, questions), max_new_tokens=3)
    assert receipt.first_token_kl == pytest.approx([0.0] * 6, abs=1e-6)


def test_it_is_measured_once_a_generation(tiny: Model, questions: list[Sample]) -> None:
    with steer(tiny, build_vector(), first_token_kl=True) as receipt:
        for _ in range(2):
            generate(tiny, encode(tiny, questions[:2]), max_new_tokens=3, use_cache=False)
    assert receipt.first_token_kl is not None
    assert len(receipt.first_token_kl) == 4
    assert receipt.first_token_kl[:2] == receipt.first_token_kl[2:]


@pytest.mark.parametrize("outer_measures", [True, False])
def test_contexts_around_it_do_not_see_its_pass(
    brief: Model, questions: list[Sample], outer_measures: bool
) -> None:
    """Of two contexts each receipt is what it would be alone, and the comparison is unsteered."""
    inputs = encode(brief, questions[:3])
    first, second = build_vector(length=9.0), build_vector(layer=2, length=9.0, seed=1)
    with steer(brief, first) as outer, steer(brief, second) as inner:
        generate(brief, inputs, max_new_tokens=3)
    with steer(brief, [first, second], first_token_kl=True) as together:
        said = generate(brief, inputs, max_new_tokens=3)
    with (
        steer(brief, first, first_token_kl=outer_measures) as outer_again,
        steer(brief, second, first_token_kl=not outer_measures) as inner_again,
    ):
        assert generate(brief, inputs, max_new_tokens=3) == said
    assert outer_again.vectors == outer.vectors
    assert inner_again.vectors == inner.vectors
    measured = outer_again if outer_measures else inner_again
    assert measured.first_token_kl == pytest.approx(together.first_token_kl, rel=1e-4)


@pytest.mark.parametrize("tower", ["vision", "projector"])
def test_pictures_that_are_steered_are_encoded_again(
    tiny: Model, questions: list[Sample], tower: Any
) -> None:
    """They are encoded ahead of the model's call: the unsteered pass needs unsteered ones."""
    site = Site(0, tokens.mean_image(), tower=tower)
    vector = SteeringVector(torch.randn(32) * 100, site, "picture", "random", 1.0)
    one = Intervention(vector, scope="image")
    _, receipt = steer_responses(tiny, questions[:3], [one], max_new_tokens=2, first_token_kl=True)
    inputs = encode(tiny, questions[:3])
    q = torch.log_softmax(_logits(tiny, inputs), dim=-1)
    with steer(tiny, one):
        p = torch.log_softmax(_logits(tiny, inputs), dim=-1)
    expected = (p.exp() * (p - q)).sum(dim=-1).tolist()
    assert min(expected) > 1e-3
    assert receipt.first_token_kl == pytest.approx(expected, rel=1e-3)


def test_logits_that_are_no_numbers_are_refused(tiny: Model, questions: list[Sample]) -> None:
    huge = build_vector(length=1e38)
    with pytest.raises(SteeringError, match="logits of the first token are not numbers"):
        with steer(tiny, huge, strength=100.0, first_token_kl=True):
            generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)


def test_the_base_and_its_adapter_each_have_their_own(
    base: Model, tuned: Model, questions: list[Sample]
) -> None:
    vector = build_vector(base.address.d, length=9.0)
    for model in (base, tuned):
        inputs = encode(model, questions[:2])
        expected = _by_hand(model, inputs, vector, 1.0)
        with steer(model, vector, first_token_kl=True) as receipt:
            generate(model, inputs, max_new_tokens=2)
        assert receipt.first_token_kl == pytest.approx(expected, rel=1e-2, abs=1e-5)


# What selected nothing.


def test_a_generation_that_failed_leaves_no_receipt_of_it(
    tiny: Model, questions: list[Sample]
) -> None:
    inputs = encode(tiny, questions[:1])

    def fail() -> None:
        with pytest.raises(DataError, match="cannot generate 0 tokens"):
            generate(tiny, inputs, max_new_tokens=0)

    with pytest.raises(SteeringError, match="nothing was generated"), steer(tiny, build_vector()):
        fail()


def test_each_vector_needs_a_position(tiny: Model, questions: list[Sample]) -> None:
    """One that acts does not excuse another that cannot; strength 0 is excused."""
    good, bad = Intervention(build_vector()), Intervention(build_vector(seed=8), scope="image:4")
    with pytest.raises(SteeringError, match="'image:4' selected no position: random 8 did nothing"):
        steer_responses(tiny, questions[:3], [good, bad], max_new_tokens=1, batch_size=1)
    silent = Intervention(bad.vector, 0.0, scope="image:4")
    steer_responses(tiny, questions[:3], [good, silent], max_new_tokens=1, batch_size=1)


def test_states_that_are_no_numbers_are_refused(tiny: Model, questions: list[Sample]) -> None:
    with pytest.raises(
        SteeringError, match="random 0 at strength 100 leaves states that are no finite"
    ):
        with steer(tiny, build_vector(length=1e38), strength=100.0):
            generate(tiny, encode(tiny, questions[:1]), max_new_tokens=1)


def test_strength_zero_in_a_tower_says_what_the_gate_thought(
    tiny: Model, questions: list[Sample]
) -> None:
    site = Site(0, tokens.mean_image(), tower="projector")
    vector = SteeringVector(torch.ones(32), site, "picture", "random", 1.0)
    one = Intervention(vector, 0.0, "image", PromptSays(("dog",)))
    said, receipt = steer_responses(tiny, questions, [one], max_new_tokens=2)
    assert said == tiny.respond(questions, max_new_tokens=2)
    assert receipt.vectors[0].gate_open == tuple("dog" in q.prompt for q in questions)
    assert receipt.tokens == 0
