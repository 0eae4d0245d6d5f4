"""Arms: as the model is, steered, told so in words, another model."""

import json

import pytest
from tests.builders import build_vector

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.steering.arms import Arm
from shiftlens.steering.gates import PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.responding import steer_responses

NEW = 4


def test_an_arm_of_nothing_is_the_model(brief: Model, questions: list[Sample]) -> None:
    arm = Arm("unsteered")
    said, receipt = arm.answer(brief, questions, max_new_tokens=NEW)
    assert said == brief.respond(questions, max_new_tokens=NEW)
    assert receipt is None
    assert arm.changes_nothing
    with pytest.raises(SteeringError, match="nothing that could be randomised"):
        arm.control(1)


def test_an_arm_steers(brief: Model, questions: list[Sample]) -> None:
    one = Intervention(build_vector(length=60.0))
    said, receipt = Arm("steered", (one,)).answer(brief, questions, max_new_tokens=NEW)
    expected, _ = steer_responses(brief, questions, [one], max_new_tokens=NEW)
    assert said == expected
    assert receipt is not None
    assert receipt.vectors[0].samples == 6


def test_an_instruction_stands_before_every_prompt(brief: Model, questions: list[Sample]) -> None:
    arm = Arm("told", instruction="what is red ?")
    asked = [Sample(s.id, f"what is red ? {s.prompt}", s.images) for s in questions]
    assert arm.asked(questions) == asked
    said, _ = arm.answer(brief, questions, max_new_tokens=NEW)
    assert said == brief.respond(asked, max_new_tokens=NEW)
    assert said != brief.respond(questions, max_new_tokens=NEW)


def test_another_model_answers_in_its_place(pair: tuple[Model, Model]) -> None:
    base, tuned = pair
    asked = [Sample("a", "Describe the picture.")]
    said, receipt = Arm("tuned", model=tuned).answer(base, asked, max_new_tokens=8)
    assert said == tuned.respond(asked, max_new_tokens=8)
    assert receipt is None


def test_a_control_keeps_everything_but_the_direction() -> None:
    gate = PromptSays(("dog",))
    arm = Arm("steered", (Intervention(build_vector(), 2.0, gate=gate),) * 2)
    first, second = arm.control(4).interventions
    assert first.gate is gate
    assert (first.strength, first.vector.kind) == (2.0, "random")
    assert not first.vector.direction.equal(second.vector.direction)  # pyright: ignore[reportAttributeAccessIssue]


def test_an_arm_is_described_as_json() -> None:
    one = Intervention(build_vector(), gate=~PromptSays(("dog",)))
    told = json.loads(json.dumps(Arm("steered", (one,)).describe()))
    assert told["vectors"][0]["operator"] == "add"
    assert told["vectors"][0]["layers"] == [1]
    assert told["vectors"][0]["gate"]["gate"] == "not"


def test_a_name_is_needed() -> None:
    with pytest.raises(SteeringError, match="an arm without a name"):
        Arm(" ")
