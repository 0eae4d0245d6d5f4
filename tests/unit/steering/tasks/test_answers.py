"""Answers from one to another: what counts, and tasks by name."""

import pytest

from shiftlens.core.errors import ShiftLensError, SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.tasks.answers import AccuracyTask, AnswersTask
from shiftlens.steering.tasks.registry import make_task, tasks

SAMPLES = [
    Sample("a", "?", labels={"answer": "yes"}),
    Sample("b", "?", labels={"answer": "no"}),
    Sample("c", "?", labels={"answer": "dog"}),
    Sample("d", "?"),
]
BEFORE, AFTER = ["Yes.", "yes", "dog", "cat"], ["no", "maybe", "cat", "no"]


def test_moved_counts_what_was_the_source_and_accuracy_the_rest() -> None:
    scores = AnswersTask("yes", "no").score(SAMPLES, BEFORE, AFTER)
    assert scores == {"moved": [1.0, 0.0, None, None], "accuracy": [None, None, 0.0, None]}
    plain = AnswersTask("yes", "no").score(SAMPLES, BEFORE, BEFORE)
    assert plain == {"moved": [0.0, 0.0, None, None], "accuracy": [None, None, 1.0, None]}


def test_accuracy_is_of_exact_answers() -> None:
    task = AccuracyTask()
    task.check(Samples(SAMPLES[:3]))
    assert task.score(SAMPLES[:3], [], ["yes", "not", "DOG!"]) == {"accuracy": [1.0, 0.0, 1.0]}
    with pytest.raises(SteeringError, match="sample 'd' has no label 'answer'"):
        task.check(Samples(SAMPLES))


@pytest.mark.parametrize(("source", "target"), [("", "no"), ("yes", " "), ("yes", "Yes.")])
def test_a_move_needs_two_answers(source: str, target: str) -> None:
    with pytest.raises(SteeringError, match=r"empty answer|at once"):
        AnswersTask(source, target)


def test_a_task_is_made_by_name() -> None:
    made = make_task("answers", {"source": "yes", "target": "no", "max_new_tokens": 3})
    assert made == AnswersTask("yes", "no", 3)
    assert made.measure("moved").role == "effect"
    assert {"answers", "accuracy"} <= set(tasks.names())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("answer", {}, "unknown task 'answer'"),
        ("answers", {"source": "yes"}, "needs target"),
        ("answers", {"source": "a", "target": "b", "goal": 1}, "no setting 'goal'"),
    ],
)
def test_mistakes_are_named(name: str, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ShiftLensError, match=message) as caught:
        make_task(name, settings)
    assert "answers" in str(caught.value) or "max_new_tokens, source, target" in str(caught.value)
