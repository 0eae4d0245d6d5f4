"""What steering did: exact answers, whole words, paired numbers."""

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.steering.outcomes import (
    accuracy_loss,
    answer_counts,
    is_answer,
    moved,
    neutralised,
    refuses,
    rest_unchanged,
    says,
    share,
)

SWAPS = {"man": "person", "woman": "person", "men": "people", "women": "people"}


@pytest.mark.parametrize(
    ("text", "answer", "same"),
    [
        ("Yes.", "yes", True),
        (" no ! ", "no", True),
        ("black", "black", True),
        ("black black", "black", False),
        ("3:35", "3", False),
        ("yes it is", "yes", False),
        ("", "yes", False),
    ],
)
def test_an_answer_is_the_whole_text(text: str, answer: str, same: bool) -> None:
    assert is_answer(text, answer) is same


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("A Dog runs", ["dog"], True),
        ("a hotdog runs", ["dog"], False),
        ("dogs run", ["dog"], False),
        ("cold snow.", ["ice", "snow"], True),
        ("anything", [], False),
    ],
)
def test_words_are_said_whole(text: str, words: list[str], said: bool) -> None:
    assert says(text, words) is said


def test_counts_are_of_exact_answers_and_the_commonest_comes_first() -> None:
    counts = answer_counts(["No.", "no", "yes", "no no", " No !"])
    assert counts == {"no": 3, "yes": 1, "no no": 1}
    assert next(iter(counts)) == "no"


def test_a_refusal_begins_the_text() -> None:
    phrases = ["Sorry I cannot", "no way"]
    assert refuses("sorry i cannot help with that", phrases)
    assert not refuses("first say sorry i cannot help", phrases)
    assert not refuses("anything", [])


def test_moved_looks_only_at_answers_that_were_the_source() -> None:
    before = ["yes", "Yes.", "no", "yes", "two"]
    after = ["no", "yes", "no", "no no", "no"]
    assert moved(before, after, "yes", "no") == [True, False, False]
    with pytest.raises(ValueError, match="shorter"):
        moved(before, after[:2], "yes", "no")


def test_share_has_wilson_s_interval_and_nothing_is_refused() -> None:
    found = share([True] * 8 + [False] * 2)
    assert found.estimate == 0.8
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    with pytest.raises(SteeringError, match="no sample to judge"):
        share([])


def test_accuracy_loss_is_paired() -> None:
    answers = ["red"] * 50 + ["blue"] * 50
    before = ["red"] * 50 + ["red"] * 50
    # The same accuracy before and after, by other samples: the mean is 0, the interval is not.
    after = ["blue"] * 50 + ["blue"] * 50
    found = accuracy_loss(before, after, answers)
    assert found.estimate == 0
    assert found.low < 0 < found.high
    same = accuracy_loss(before, before, answers)
    # No change in 100 answers is no proof that none ever changes.
    assert same.estimate == 0
    assert -0.06 < same.low < 0 < same.high < 0.06
    worse = accuracy_loss(answers, before, answers)
    assert worse.estimate == 0.5
    assert worse.low > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a person standing", True),
        ("two people on the beach", True),
        ("a man standing", False),
        ("a person and a woman", False),
        ("a dog standing", False),
        ("a Man", False),
    ],
)
def test_neutralised_needs_a_neutral_word_and_no_gendered_one(text: str, expected: bool) -> None:
    assert neutralised(text, SWAPS) is expected


def test_the_rest_is_unchanged_when_only_the_word_was_swapped() -> None:
    assert rest_unchanged("a man in the snow", "a person in the snow", SWAPS)
    assert rest_unchanged("Two men", "two people", SWAPS)
    assert not rest_unchanged("a man in the snow", "a person on the beach", SWAPS)
    assert not rest_unchanged("a man in the snow", "a person", SWAPS)
