"""Digests tell interventions apart by what they do, and not by what they are called."""

from dataclasses import replace

import pytest
import torch
from tests.builders import build_vector

from shiftlens.steering.gates.fitting import HeldOut
from shiftlens.steering.gates.linear import LinearGate
from shiftlens.steering.gates.texts import PromptSays, When
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate, MoveTo
from shiftlens.steering.scopes import words
from shiftlens.steering.searching.keys import intervention_key

PLAIN = Intervention(build_vector())


def _gate(threshold: float = 0.0, entry: float = 1.0) -> LinearGate:
    weights = torch.zeros(32)
    weights[0] = entry
    return LinearGate(weights, threshold, 1, HeldOut(1.0, 0.0, 9), "test")


def test_names_and_origins_do_not_count() -> None:
    vector = replace(PLAIN.vector, name="other", provenance={"seed": 3}, state_norm=9.0)
    assert intervention_key(replace(PLAIN, vector=vector)) == intervention_key(PLAIN)
    assert intervention_key(None) == "unsteered"


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, strength=1.5),
        replace(PLAIN, scope="all"),
        replace(PLAIN, scope=words("dog")),
        replace(PLAIN, scope=words("cat")),
        replace(PLAIN, layers=(2,)),
        replace(PLAIN, operator=Ablate()),
        replace(PLAIN, operator=MoveTo(1.0)),
        replace(PLAIN, operator=MoveTo(2.0)),
        replace(PLAIN, vector=build_vector(seed=1)),
        replace(PLAIN, vector=build_vector(length=6.001)),
        replace(PLAIN, vector=build_vector(layer=2)),
        replace(PLAIN, gate=PromptSays(("dog",))),
        replace(PLAIN, gate=~PromptSays(("dog",))),
        replace(PLAIN, gate=_gate()),
        replace(PLAIN, gate=_gate(threshold=1.0)),
        replace(PLAIN, gate=_gate(entry=2.0)),
    ],
)
def test_whatever_decides_an_answer_counts(other: Intervention) -> None:
    mine, theirs = intervention_key(PLAIN), intervention_key(other)
    assert theirs is not None
    assert mine != theirs
    assert intervention_key(replace(other)) == theirs


def test_twin_two_gates_that_differ_in_their_weights_alone_differ() -> None:
    assert _gate().describe() == _gate(entry=2.0).describe(), "words would not tell them apart"
    keys = {intervention_key(replace(PLAIN, gate=_gate(entry=e))) for e in (1.0, 2.0)}
    assert len(keys) == 2


def test_a_function_cannot_be_compared() -> None:
    gate = When(lambda reading: torch.ones(reading.rows, dtype=torch.bool))
    assert intervention_key(replace(PLAIN, gate=gate)) is None
    assert intervention_key(replace(PLAIN, gate=gate & PromptSays(("dog",)))) is None
