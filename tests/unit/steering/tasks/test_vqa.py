"""VQAv2 as a task: what counts as moved, what as right, where answers went."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.tasks import VQATask, make_task

SAMPLES = [
    Sample("a", "?", labels={"answer": "yes", "answer_type": "yes/no"}),
    Sample("b", "?", labels={"answers": ["no"] * 9 + ["yes"], "answer_type": "yes/no"}),
    Sample("c", "?", labels={"answers": ["3", "3", "4"], "answer_type": "number"}),
]


def test_moved_is_of_the_source_and_accuracy_of_the_rest() -> None:
    task = VQATask("Yes", "no")
    scores = task.score(SAMPLES, ["yes.", "no", "3"], ["No", "no", "three"])
    assert scores["moved"] == [1.0, None, None]
    # Of three annotators no two others make three: a mean of 1/3, 1/3 and 2/3.
    assert scores["accuracy"] == [None, 1.0, pytest.approx(4 / 9)]


def test_twin_a_part_of_an_answer_is_not_the_answer() -> None:
    task = VQATask("yes", "no")
    scores = task.score(SAMPLES, ["yes", "yes please", "3"], ["not", "no", "3:35"])
    assert scores["moved"] == [0.0, None, None]
    assert scores["accuracy"][2] == 0.0


def test_without_a_source_everything_is_accuracy() -> None:
    scores = VQATask().score(SAMPLES, ["", "no", "4"], ["", "no", "4"])
    assert scores["moved"] == [None, None, None]
    assert None not in scores["accuracy"]


def test_details_hold_the_transitions_and_the_net_change() -> None:
    details = VQATask("yes", "no").details(SAMPLES, ["yes", "no", "3"], ["no", "no", "4"])
    assert details["transitions"]["yes/no"] == {"yes": {"no": 1}, "no": {"no": 1}}
    assert details["transitions"]["number"] == {"3": {"4": 1}}
    assert details["net_change"] == {"yes": -1, "no": 1}
    assert details["counts"] == {"no": 2, "4": 1}
    assert "net_change" not in VQATask().details(SAMPLES, ["a"] * 3, ["a"] * 3)


def test_settings_that_look_like_numbers_are_answers() -> None:
    assert make_task("vqa", {"source": 1, "target": 3}) == VQATask("1", "3")
    assert make_task("vqa", {"source": True, "target": "no"}) == VQATask("true", "no")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "yes"}, "belong together"),
        ({"source": "one", "target": "1"}, "source and target at once"),
        ({"max_new_tokens": "many"}, "max_new_tokens = 'many'"),
        ({"max_new_tokens": 0}, "max_new_tokens = 0"),
    ],
)
def test_mistakes_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SteeringError, match=message):
        make_task("vqa", settings)


def test_samples_need_answers() -> None:
    with pytest.raises(SteeringError, match="sample 'x' has no reference answers"):
        VQATask().check(Samples([*SAMPLES, Sample("x", "?")]))
