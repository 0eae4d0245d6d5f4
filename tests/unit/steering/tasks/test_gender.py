"""Captions that guess a gender: neutral where none shows, kept where one does."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample
from shiftlens.steering.tasks import GenderTask, make_task

PLAIN, SHOWN = Sample("a", "?"), Sample("b", "?", labels={"gender": "feminine"})


def test_three_measures_of_the_captions_that_they_are_about() -> None:
    samples = [PLAIN, PLAIN, SHOWN, PLAIN]
    before = ["a woman runs", "a man sits", "a woman runs", "a dog runs"]
    after = ["a person runs", "a person stands", "a person runs", "a dog runs"]
    assert GenderTask().score(samples, before, after) == {
        "neutralised": [1.0, 1.0, None, None],
        "rest_unchanged": [1.0, 0.0, None, None],
        "evident_changed": [None, None, 1.0, None],
    }


def test_nothing_changes_when_nothing_changes() -> None:
    scores = GenderTask().score([PLAIN, SHOWN], ["a man", "a woman"], ["a man", "a woman"])
    assert scores["neutralised"] == [0.0, None]
    assert scores["rest_unchanged"] == [None, None]
    assert scores["evident_changed"] == [None, 0.0]


def test_twin_a_word_within_a_word_is_no_gender() -> None:
    scores = GenderTask().score([PLAIN], ["a human runs"], ["a person runs"])
    assert scores["neutralised"] == [None]


def test_labels_of_ones_own_can_be_named() -> None:
    task = make_task("gender", {"label": "subject", "evident": {"man": "masculine"}})
    labelled = Sample("c", "?", labels={"subject": "man"})
    scores = task.score([labelled, SHOWN], ["a man", "a woman"], ["a person", "a person"])
    assert scores["evident_changed"] == [1.0, None]
    assert scores["neutralised"] == [None, 1.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"evident": {"man": "male"}}, "the gender 'male'"),
        ({"swaps": {}}, "no gendered words"),
        ({"swaps": {"man": "woman", "woman": "person"}}, "itself to be swapped"),
        ({"swaps": "man"}, "swaps = 'man'"),
    ],
)
def test_mistakes_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SteeringError, match=message):
        make_task("gender", settings)
