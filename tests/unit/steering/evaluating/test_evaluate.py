"""``evaluate``: arms on trials, end to end on a tiny model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from tests.builders import build_vector

from shiftlens.core.errors import MismatchError, SteeringError, StoreError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model
from shiftlens.steering.arms import Arm
from shiftlens.steering.evaluating import Evaluation, Trial, evaluate
from shiftlens.steering.gates import PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.measures.fluency import perplexities
from shiftlens.steering.tasks.task import Measure, Scores, Task


@dataclass(frozen=True)
class _Changed(Task):
    """Whether an answer is another one; ``late`` says nothing of the unsteered ones."""

    max_new_tokens: int = 3

    name = "changed"
    measures = (Measure("changed", "answers that changed"), Measure("late", "of those, so"),
                Measure("never", "nothing"))  # fmt: skip

    def score(
        self, samples: Sequence[Sample], before: Sequence[str], after: Sequence[str]
    ) -> Scores:
        changed = [float(a != b) for a, b in zip(before, after, strict=True)]
        late = [1.0 if flag else None for flag in changed]
        return {"changed": changed, "late": late, "never": [None] * len(samples)}


@pytest.fixture
def trial(questions: list[Sample]) -> Trial:
    return Trial("questions", _Changed(), Samples(questions))


STEERED = Arm("steered", (Intervention(build_vector(length=80.0)),))
TOLD = Arm("told", instruction="what is red ?")


def test_lines_receipts_and_examples(brief: Model, trial: Trial, tmp_path: Path) -> None:
    found = evaluate(brief, [trial], [STEERED, TOLD], controls=2, n_examples=2)
    assert [line.arm for line in found.of(trial="questions") if line.measure == "changed"] == [
        "unsteered",
        "steered",
        "told",
    ]
    steered, told = (found.find(name, "questions", "changed") for name in ("steered", "told"))
    assert len(steered.random) == 2
    assert steered.above_random is not None
    assert steered.test is not None
    assert steered.test.gained == round(6 * steered.value.estimate)
    assert told.above_random is None
    assert told.value.estimate > 0
    # A measure of changed answers says nothing of the unsteered ones, another never anything.
    assert {line.arm for line in found.lines if line.measure == "late"} == {"steered", "told"}
    assert "never" not in {line.measure for line in found.lines}
    receipt = found.receipts["questions"]["steered"]
    assert set(found.receipts["questions"]) == {"steered"}
    assert receipt["vectors"][0]["samples"] == 6
    assert "6 samples" in receipt["summary"]
    examples = found.examples["questions"]
    assert len(examples) == 2
    assert set(examples[0]["answers"]) == {"unsteered", "steered", "told"}
    assert len(set(examples[0]["answers"].values())) > 1  # changed ones come first
    assert found.about["trials"]["questions"]["settings"] == {"max_new_tokens": 3}
    found.save(tmp_path / "evaluation.json")
    assert Evaluation.load(tmp_path / "evaluation.json") == found
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()


def test_surprise_is_the_logarithm_of_the_perplexity(brief: Model, trial: Trial) -> None:
    from shiftlens.steering.evaluating.perplexity import log_probabilities

    found = evaluate(brief, [trial], [TOLD], controls=0)
    asked = list(trial.samples)
    # An instruction is not there when the unsteered model reads what came of it.
    said, _ = TOLD.answer(brief, asked, max_new_tokens=3)
    spoken = [(s, r) for s, r in zip(asked, said, strict=True) if r.token_ids]
    likely = log_probabilities(brief, [s for s, _ in spoken], [r for _, r in spoken])
    mean = torch.tensor(perplexities(likely)).log().mean()
    line = found.find("told", "questions", "surprise")
    assert line.value.estimate == pytest.approx(float(mean), rel=1e-4)
    assert line.n == len(spoken)
    before = found.find("unsteered", "questions", "surprise")
    assert before.value.estimate < line.value.estimate


def test_a_closed_gate_changes_nothing(brief: Model, trial: Trial) -> None:
    closed = Intervention(build_vector(length=80.0), gate=PromptSays(("zebra",)))
    found = evaluate(brief, [trial], [Arm("gated", (closed,))], controls=1, fluency=False)
    line = found.find("gated", "questions", "changed")
    assert (line.value.estimate, line.random) == (0.0, (0.0,))
    assert found.find("unsteered", "questions", "changed").value == line.value
    assert {line.measure for line in found.lines} == {"changed"}
    assert evaluate(
        brief, [trial], [STEERED], controls=0, fluency=False
    ).find("steered", "questions", "changed").value.estimate > 0  # fmt: skip


def test_the_seed_decides_the_random_directions_alone(brief: Model, trial: Trial) -> None:
    weak = Arm("steered", (Intervention(build_vector(length=25.0)),))
    first, again, other = (
        evaluate(brief, [trial], [weak], controls=2, fluency=False, seed=seed) for seed in (0, 0, 3)
    )
    assert first == again
    lines = [x.find("steered", "questions", "changed") for x in (first, other)]
    assert replace(lines[0], random=(), above_random=None) == replace(
        lines[1], random=(), above_random=None
    )


def test_another_model_is_an_arm(pair: tuple[Model, Model], questions: list[Sample]) -> None:
    base, tuned = pair
    trial = Trial("captions", _Changed(8), Samples(questions[:3]).with_prompt("Describe this."))
    found = evaluate(base, [trial], [Arm("tuned", model=tuned)])
    assert found.find("tuned", "captions", "changed").value.estimate > 0
    assert found.about["arms"]["tuned"]["model"]["adapter_weights"]
    assert found.about["model"]["adapter_weights"] is None


def test_other_tokens_cannot_be_read(brief: Model, byte_model: Model, trial: Trial) -> None:
    with pytest.raises(MismatchError, match="other tokens"):
        evaluate(brief, [trial], [Arm("bytes", model=byte_model)])
    found = evaluate(brief, [trial], [Arm("bytes", model=byte_model)], fluency=False)
    assert found.find("bytes", "questions", "changed").n == 6


def test_what_was_fitted_on_these_samples_is_said(brief: Model, trial: Trial) -> None:
    seen = build_vector(length=80.0, provenance={"data": trial.samples.fingerprint})
    arms = [Arm("steered", (Intervention(seen),)), replace(STEERED, name="other")]
    found = evaluate(brief, [trial], arms, controls=0, fluency=False)
    (note,) = found.about["notes"]
    assert "too good to be true" in note


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([], "no arm to evaluate"),
        ([STEERED, STEERED], "two arms are called 'steered'"),
        ([Arm("unsteered", instruction="be kind")], "two arms are called 'unsteered'"),
        ([Arm("idle")], "'idle' changes nothing"),
    ],
)
def test_arms_that_cannot_be_compared(
    brief: Model, trial: Trial, arms: list[Arm], message: str
) -> None:
    with pytest.raises(SteeringError, match=message):
        evaluate(brief, [trial], arms)


def test_trials_that_cannot_be_asked(brief: Model, trial: Trial) -> None:
    with pytest.raises(SteeringError, match="no trial"):
        evaluate(brief, [], [STEERED])
    with pytest.raises(SteeringError, match="two trials are called 'questions'"):
        evaluate(brief, [trial, trial], [STEERED])
    with pytest.raises(SteeringError, match="-1 random controls"):
        evaluate(brief, [trial], [STEERED], controls=-1)
    with pytest.raises(SteeringError, match="without a name"):
        Trial("", trial.task, trial.samples)
    with pytest.raises(SteeringError, match="asks nothing"):
        Trial("none", trial.task, Samples([]))


def test_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no line for a / b / c"):
        Evaluation(()).find("a", "b", "c")
    path = tmp_path / "evaluation.json"
    path.write_text('{"schema": 1, "lines": []}')
    with pytest.raises(StoreError, match="no evaluation of schema 1"):
        Evaluation.load(path)
    path.write_text('{"kind": "evaluation", "schema": 1, "lines": [{}]}')
    with pytest.raises(StoreError, match="a damaged evaluation"):
        Evaluation.load(path)
