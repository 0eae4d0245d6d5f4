"""Intervals of means and paired losses; dependent samples widen them."""

import numpy as np
import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval, wilson
from shiftlens.steering.outcomes import accuracy_loss
from shiftlens.steering.searching.figures import gap, mean, worsening


def test_a_share_has_the_interval_of_wilson() -> None:
    scores = [1.0, 0.0, None, 1.0, 1.0]
    assert mean(scores, range(5), is_share=True) == wilson(3, 4)


def test_what_says_nothing_is_none() -> None:
    assert mean([None, None], [0, 1], is_share=True) is None
    assert worsening([None, 1.0], [1.0, None], [0, 1], is_share=True, higher_is_better=True) is None


def test_a_paired_loss_is_that_of_outcomes() -> None:
    answers = ["yes"] * 20
    before = ["yes"] * 15 + ["no"] * 5
    after = ["yes"] * 10 + ["no"] * 8 + ["yes"] * 2
    scores = [[float(text == "yes") for text in texts] for texts in (before, after)]
    found = worsening(scores[0], scores[1], range(20), is_share=True, higher_is_better=True)
    assert found is not None
    expected = accuracy_loss(before, after, answers)
    assert found.to_dict() == pytest.approx(expected.to_dict())
    turned = worsening(scores[0], scores[1], range(20), is_share=True, higher_is_better=False)
    assert turned is not None
    assert turned.estimate == -found.estimate


def test_no_change_is_not_certainty() -> None:
    found = worsening([1.0] * 50, [1.0] * 50, range(50), is_share=True, higher_is_better=True)
    assert found is not None
    assert found.estimate == 0
    assert found.low < -0.01
    assert found.high > 0.01


def test_samples_of_one_picture_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.random(20) < 0.5
    scores = [float(value) for value in np.repeat(pictures, 10)]
    groups = [at // 10 for at in range(200)]
    apart = mean(scores, range(200), is_share=True)
    together = mean(scores, groups, is_share=True)
    assert apart is not None
    assert together is not None
    assert together.estimate == apart.estimate
    assert together.high - together.low > 2 * (apart.high - apart.low)
    assert mean([1.0] * 200, groups, is_share=True) == wilson(200, 200)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(SteeringError, match="1 of 2 scores are no finite numbers"):
        mean([1.0, bad], [0, 1], is_share=False)


def test_a_share_of_half_scores_is_refused() -> None:
    with pytest.raises(SteeringError, match="neither 0 nor 1"):
        mean([1.0, 0.3], [0, 1], is_share=True)
    assert mean([1.0, 0.3], [0, 1], is_share=False) is not None


def test_a_gap_is_as_wide_as_both() -> None:
    found = gap(Interval(0.9, 0.8, 0.95), Interval(0.7, 0.6, 0.8))
    assert found.estimate == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - np.hypot(0.1, 0.1))
    assert found.high == pytest.approx(0.2 + np.hypot(0.05, 0.1))
