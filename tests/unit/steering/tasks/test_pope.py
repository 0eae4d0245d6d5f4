"""POPE as a task: right answers, things that are not there, an F1 that can be missing."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.tasks import PopeTask

THERE = Sample("a", "?", labels={"answer": "Yes", "split": "random"})
NOT = Sample("b", "?", labels={"answer": "no ", "split": "popular"})
TASK = PopeTask()


def test_right_and_hallucinated() -> None:
    said = ["Yes, there is.", "yes"]
    assert TASK.score([THERE, NOT], said, said) == {
        "right": [1.0, 0.0],
        "hallucinated": [None, 1.0],
    }
    unclear = TASK.score([THERE, NOT], said, ["perhaps", "perhaps"])
    assert unclear == {"right": [0.0, 0.0], "hallucinated": [None, 0.0]}


def test_figures_stand_by_split() -> None:
    details = TASK.details([THERE, NOT], ["yes", "yes"], ["yes", "no"])
    assert set(details["by_split"]) == {"random", "popular"}
    assert details["by_split"]["random"]["f1"]["estimate"] == 1.0
    assert details["f1_change"]["estimate"] == pytest.approx(1 - 2 / 3)


def test_where_nothing_is_there_and_nothing_is_seen_there_is_no_f1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = "shiftlens.steering.tasks.pope.f1_change"
    monkeypatch.setattr(home, lambda *_: Interval(0.0, 0.0, 0.0))  # resampling takes its time
    assert TASK.details([NOT, NOT], ["no", "no"], ["yes", "no"])["f1_change"] is None
    seen = TASK.details([NOT, NOT], ["yes", "no"], ["yes", "yes"])
    assert seen["f1_change"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}


@pytest.mark.parametrize("labels", [{}, {"answer": True}, {"answer": "maybe"}])
def test_samples_need_a_yes_or_a_no(labels: dict[str, object]) -> None:
    TASK.check(Samples([THERE, NOT]))
    with pytest.raises(SteeringError, match="sample 'x'"):
        TASK.check(Samples([THERE, Sample("x", "?", labels=labels)]))
