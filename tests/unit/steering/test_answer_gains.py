"""Scores of answer counts: a few that gain far above the others; doing nothing scores nothing."""

import pytest

from shiftlens.steering.answer_gains import Gain, score

BEFORE = {"yes": 50, "no": 48, "dog": 2}


def test_the_answer_that_gains_far_above_the_others_is_the_target() -> None:
    found = score(BEFORE, {"yes": 3, "no": 90, "dog": 4, "cat": 2, "one": 1})
    assert [one.answer for one in found.primary] == ["no"]
    assert [one.answer for one in found.secondary] == ["cat", "dog", "one"]
    assert found.score == 42 - 2
    assert found.lost == ("yes", 47)


def test_several_answers_may_be_the_target() -> None:
    found = score({"yes": 100}, {"dog": 45, "cat": 40, "one": 2, "two": 1, "yes": 12})
    assert [one.answer for one in found.primary] == ["dog", "cat"]
    assert found.score == 40 - 2


def test_a_common_answer_does_not_win_by_being_common() -> None:
    """With plain counts in place of gains this would score 46, for doing next to nothing."""
    found = score(BEFORE, {"yes": 49, "no": 49, "dog": 2})
    assert [one.answer for one in found.primary] == ["no"]
    assert found.score == 1


def test_nothing_gained_is_no_target() -> None:
    found = score(BEFORE, BEFORE)
    assert (found.score, found.primary, found.secondary, found.lost) == (0, (), (), None)


def test_garbage_scores_next_to_nothing() -> None:
    found = score({"yes": 100}, {f"word {at}": 1 for at in range(100)})
    assert found.score == 1
    assert len(found.primary) == 5, "all alike are one group"


def test_an_answer_never_seen_before_does_not_win_by_division() -> None:
    assert Gain("new", 0, 1).ratio == 2.0
    found = score({"a": 10}, {"a": 50, **{f"new {at}": 1 for at in range(9)}}, top=3)
    assert [one.answer for one in found.primary] == ["a"]
    assert found.score == 40 - 1


@pytest.mark.parametrize("top", [2, 3, 5])
def test_no_more_than_the_top_are_looked_at(top: int) -> None:
    found = score({}, {f"answer {at}": 10 * at for at in range(1, 9)}, top=top)
    assert len(found.primary) + len(found.secondary) == top
    assert found.primary[0].answer == "answer 8"
