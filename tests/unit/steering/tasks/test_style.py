"""A style that is told by its words: named, rightly, with the rest kept."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.data.sample import Sample, Samples
from shiftlens.steering.tasks import StyleTask, make_task

ALLOWED = {"allowed": {"place": ["beach"]}, "captions": ["a dog on the beach"]}
OTHER = {"allowed": {"place": ["forest"]}, "captions": ["a cat in the forest"]}
SAMPLES = [Sample("a", "?", labels=ALLOWED), Sample("b", "?", labels=OTHER)]
TASK = StyleTask(["beach", "forest"], "place")


def test_what_is_named_rightly_and_kept() -> None:
    before, after = ["a dog runs", "a cat"], ["A dog runs on the beach.", "a dog on the beach"]
    scores = TASK.score(SAMPLES, before, after)
    assert scores["styled"] == [1.0, 1.0]
    assert scores["right"] == [1.0, 0.0]
    assert scores["kept"] == [1.0, 0.0]


def test_words_are_whole() -> None:
    scores = TASK.score(SAMPLES, ["a dog", "a cat"], ["a beachcomber", "a forester"])
    assert scores["styled"] == [0.0, 0.0]


def test_a_caption_with_the_style_says_nothing() -> None:
    scores = TASK.score(SAMPLES, ["on the beach", "a cat"], ["on the beach", "a cat"])
    assert (scores["styled"][0], scores["right"][0], scores["kept"][0]) == (None, None, None)
    assert scores["styled"][1] == 0.0


def test_cider_is_higher_for_the_reference_than_for_another_caption() -> None:
    right = ["a dog on the beach", "a cat in the forest"]
    good = TASK.score(SAMPLES, right, right)["cider"]
    poor = TASK.score(SAMPLES, right, right[::-1])["cider"]
    assert all(a is not None and b is not None and a > b for a, b in zip(good, poor, strict=True))
    alone = TASK.score(SAMPLES[:1], right[:1], right[:1])["cider"]
    assert alone == [None]  # one picture is no corpus


def test_without_a_factor_nobody_knows_what_is_right() -> None:
    task = StyleTask(["beach"])
    task.check(Samples([Sample("x", "?")]))
    assert task.score([Sample("x", "?")], ["a dog"], ["a beach"])["right"] == [None]


def test_words_may_be_typed() -> None:
    assert make_task("style", {"words": "beach, forest"}) == StyleTask(["beach", "forest"])
    assert make_task("style", {"words": ["beach"]}) == StyleTask(["beach"])


@pytest.mark.parametrize("words", ["", " , ", [], [1], 5, ["beach", " "]])
def test_words_that_are_none_are_refused(words: object) -> None:
    with pytest.raises(SteeringError, match=r"words"):
        make_task("style", {"words": words})


@pytest.mark.parametrize("labels", [{}, {"allowed": {"colour": ["red"]}}, {"allowed": "beach"}])
def test_samples_must_say_what_is_right(labels: dict[str, object]) -> None:
    with pytest.raises(SteeringError, match="sample 'x'"):
        TASK.check(Samples([*SAMPLES, Sample("x", "?", labels=labels)]))
