"""POPE with real labels: an F1 that can fail."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from shiftlens.core.errors import SteeringError
from shiftlens.steering.measures.pope import (
    Reply,
    correct,
    f1_change,
    pope,
    pope_by_split,
    reply_of,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, there is a dog.", "yes"),
        ("yes", "yes"),
        (" NO.", "no"),
        ("No, there is not.", "no"),
        ("There is no dog.", "unclear"),
        ("Not that I see", "unclear"),
        ("Yesterday", "unclear"),
        ("Nobody", "unclear"),
        ("I know", "unclear"),
        ("Perhaps", "unclear"),
        ("", "unclear"),
    ],
)
def test_the_first_word_decides(text: str, expected: Reply) -> None:
    assert reply_of(text) == expected


def test_always_yes_on_balanced_labels() -> None:
    found = pope(["Yes."] * 100, ["yes", "no"] * 50)
    assert found.accuracy.estimate == 0.5
    assert found.f1 is not None
    assert found.precision is not None
    assert found.recall is not None
    assert found.f1.estimate == pytest.approx(2 / 3)
    assert (found.precision.estimate, found.recall.estimate) == (0.5, 1.0)
    assert found.yes_ratio.estimate == 1
    assert found.f1.low < 2 / 3 < found.f1.high
    assert found.recall.low < 1  # fifty hits are no proof


def test_always_no_fails() -> None:
    found = pope(["No."] * 100, ["yes", "no"] * 50)
    assert found.accuracy.estimate == 0.5
    assert found.precision is None
    assert found.f1 is not None
    assert found.f1.estimate == 0
    assert found.f1.high > 0


def test_figures_are_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.random((2, 200)) < [[0.5], [0.6]]
    found = pope([_word(flag) for flag in said], [_word(flag) for flag in truth])
    for ours, theirs in (
        (found.f1, f1_score),
        (found.precision, precision_score),
        (found.recall, recall_score),
    ):
        assert ours is not None
        assert ours.estimate == pytest.approx(theirs(truth, said))
        assert ours.low < ours.estimate < ours.high


def test_the_interval_of_f1_covers_the_truth() -> None:
    """Replies are right with probability .8 on balanced labels: F1 is .8."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        truth = rng.random(100) < 0.5
        said = np.where(rng.random(100) < 0.8, truth, ~truth)
        found = pope([_word(flag) for flag in said], [_word(flag) for flag in truth]).f1
        assert found is not None
        covered += found.low <= 0.8 <= found.high
    assert 0.92 <= covered / 300 <= 0.99


def test_a_perfect_run_does_not_claim_certainty() -> None:
    found = pope(["yes", "no"] * 10, ["yes", "no"] * 10)
    assert found.f1 is not None
    assert found.f1.estimate == found.f1.high == 1
    assert 0.7 < found.f1.low < 0.95


def test_unclear_replies_are_counted_and_wrong() -> None:
    found = pope(["yes", "maybe", "maybe", "no"], ["yes", "yes", "no", "no"])
    assert (found.n, found.n_unclear) == (4, 2)
    assert found.unclear.estimate == 0.5
    assert found.accuracy.estimate == 0.5
    assert found.precision is not None
    assert found.recall is not None
    assert (found.precision.estimate, found.recall.estimate) == (1.0, 0.5)
    assert correct(["yes", "maybe", "maybe", "no"], ["yes", "yes", "no", "No "]) == [
        True,
        False,
        False,
        True,
    ]


def test_without_any_yes_there_is_no_f1() -> None:
    found = pope(["no", "no"], ["no", "no"])
    assert found.f1 is None
    assert found.recall is None
    assert found.precision is None


def test_splits_are_judged_apart() -> None:
    texts, labels = ["yes", "yes", "no"], ["yes", "no", "no"]
    found = pope_by_split(texts, labels, ["random", "random", "popular"])
    assert found["random"].accuracy.estimate == 0.5
    assert found["popular"].accuracy.estimate == 1
    assert sum(one.n for one in found.values()) == 3


def test_change_of_f1_is_paired() -> None:
    labels = ["yes", "no"] * 50
    better = f1_change(["yes"] * 100, labels, labels, draws=300)
    assert better.estimate == pytest.approx(1 / 3)
    assert better.low > 0.2
    same = f1_change(["yes"] * 100, ["yes"] * 100, labels, draws=300)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)
    with pytest.raises(SteeringError, match="without any yes"):
        f1_change(["no"] * 4, ["yes"] * 4, ["no"] * 4)


def test_bad_input_is_refused() -> None:
    with pytest.raises(SteeringError, match="the label of question 1 is 'perhaps'"):
        pope(["yes", "no"], ["yes", "perhaps"])
    with pytest.raises(SteeringError, match="1 replies to 2 questions"):
        pope(["yes"], ["yes", "no"])
    with pytest.raises(SteeringError, match="0 replies"):
        pope([], [])
    with pytest.raises(SteeringError, match="2 replies to 1 questions"):
        pope_by_split(["yes", "no"], ["yes", "no"], ["random"])


def _word(flag: bool) -> str:
    return "yes" if flag else "no"
