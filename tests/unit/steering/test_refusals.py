"""What would silently do nothing, or something else, is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_llava, build_store, build_vector

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.steering.applying import Intervention, steer
from shiftlens.steering.divergence import divergence
from shiftlens.steering.gates import LDA, LinearGate, NearestConcept, TwoPassGate
from shiftlens.steering.gates.fitting import HeldOut
from shiftlens.steering.responding import steer_responses


def _gate(d: int = 32, **provenance: Any) -> LinearGate:
    rates = HeldOut(1.0, 0.0, 8)
    return LinearGate(torch.ones(d), 0.0, 0, rates, "probe", provenance=provenance)


def test_blocks_of_the_tower_that_the_language_model_never_sees(
    tmp_path: Path, questions: list[Sample]
) -> None:
    model = load_model(build_llava(tmp_path / "m"))
    n = 2
    site = Site(n - 1, tokens.mean_image(), tower="vision")
    vector = SteeringVector(torch.ones(32) * 50, site, "v", "random", 1.0)
    shown = model.hf.config.vision_feature_layer
    try:
        model.hf.config.vision_feature_layer = -2  # as LLaVA-1.5 has it
        with pytest.raises(SteeringError, match=r"after block 1 changes nothing"):
            steer_responses(model, questions[:1], [Intervention(vector, 1.0, "image")])
        first = replace(vector, site=site.at(0))
        steer_responses(model, questions[:1], [Intervention(first, 1.0, "image")], max_new_tokens=1)
    finally:
        model.hf.config.vision_feature_layer = shown


def test_gates_of_another_width_or_of_other_weights(tiny: Model) -> None:
    with pytest.raises(MismatchError, match="the gate reads states of width 7"):
        with steer(tiny, build_vector(), gate=_gate(7)):
            pass
    with pytest.raises(MismatchError, match="fitted on states of other weights"):
        with steer(tiny, build_vector(), gate=_gate(model={"weights": "others"})):
            pass
    own = _gate(model={"weights": tiny.identity["weights"]})
    with steer(tiny, build_vector(), gate=own):
        tiny.generate(None, "what is this ?", max_new_tokens=1)


def test_a_fitted_gate_knows_where_it_comes_from(tmp_path: Path) -> None:
    states = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    states[::2, 0] += 6
    gate = LDA.fit(build_store(tmp_path / "s", states), [row % 2 == 0 for row in range(40)])
    gate.save(tmp_path / "gate")
    back = LinearGate.load(tmp_path / "gate")
    assert back.provenance["model"] == {"weights": "weights"}
    assert back.weights.equal(gate.weights)
    assert (back.threshold, back.layer, back.held_out) == (
        gate.threshold,
        gate.layer,
        gate.held_out,
    )


def test_two_pass_gates_of_states_that_are_not_read(tiny: Model, questions: list[Sample]) -> None:
    normed = Concepts(torch.eye(2, 32), "centroid", Site(3, tokens.word("a"), normed=True), (1, 1))
    gate = TwoPassGate(NearestConcept(normed, frozenset({0})))
    with pytest.raises(SteeringError, match="its concepts come from"):
        steer_responses(tiny, questions, [Intervention(build_vector(), gate=gate)])


def test_states_that_are_no_numbers_do_not_pass_for_a_closed_gate(tiny: Model) -> None:
    weight = tiny.hf.get_output_embeddings().weight
    embeddings = tiny.hf.get_input_embeddings().weight
    before, kept = weight.detach().clone(), embeddings.detach().clone()
    try:
        with torch.no_grad():
            embeddings.fill_(float("nan"))
        with pytest.raises(SteeringError, match="no finite numbers"):
            with steer(tiny, build_vector(), gate=_gate()):
                tiny.generate(None, "what is this ?", max_new_tokens=1)
    finally:
        with torch.no_grad():
            embeddings.copy_(kept)
            weight.copy_(before)


def test_logits_that_are_no_numbers_are_no_smalldivergence() -> None:
    plain = torch.log_softmax(torch.tensor([[1.0, 2.0, -float("inf")]]), dim=-1)
    assert divergence(plain, plain) == [0.0]
    with pytest.raises(SteeringError, match="are not numbers"):
        divergence(torch.full((1, 3), float("nan")), plain)
