"""Shares of a row of a transition table hold the truth as often as they say."""

import numpy as np
import pytest

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import wilson, wilson_grouped
from shiftlens.data.sample import Sample
from shiftlens.steering.measures.rates import rates_by_kind, row_rates


def test_each_cell_is_a_share_of_its_row() -> None:
    before, after = ["yes"] * 4 + ["no"] * 2, ["no", "no", "no", "yes", "no", "no"]
    rates = row_rates(before, after, list(range(6)))
    assert list(rates) == ["yes", "no"]
    assert rates["yes"]["n"] == 4
    assert rates["yes"]["after"] == {"no": wilson(3, 4).to_dict(), "yes": wilson(1, 4).to_dict()}
    assert rates["no"]["none"] == wilson(0, 2).to_dict()


def test_samples_without_groups_have_wilson_s_interval() -> None:
    flags = [True, False, True, True]
    assert wilson_grouped(flags, list("abcd")) == wilson(3, 4)
    assert wilson_grouped([True] * 3, list("abc")) == wilson(3, 3)
    with pytest.raises(ShiftLensError, match="4 trials in 2 groups"):
        wilson_grouped(flags, ["a", "b"])


def test_samples_that_repeat_each_other_count_once() -> None:
    # Ten pictures with eight equal answers each say as much as ten answers.
    groups = [place // 8 for place in range(80)]
    for right in (0, 3, 10):
        flags = [group < right for group in groups]
        grouped, ten = wilson_grouped(flags, groups), wilson(right, 10)
        assert (grouped.low, grouped.high) == pytest.approx((ten.low, ten.high))


def _held(*, grouped: bool, draws: int = 400) -> float:
    """How often the interval holds the true share, where five answers share a picture."""
    random, held = np.random.default_rng(1), 0
    groups = np.repeat(np.arange(40), 5)
    for _ in range(draws):
        leaning = random.beta(0.3, 0.7, 40)[groups]
        flags = random.random(200) < leaning
        found = wilson_grouped(flags, list(groups)) if grouped else wilson(int(flags.sum()), 200)
        held += found.low <= 0.3 <= found.high
    return held / draws


def test_the_interval_holds_the_truth_where_samples_share_pictures() -> None:
    assert _held(grouped=True) > 0.92


def test_twin_without_the_groups_it_claims_too_much() -> None:
    assert _held(grouped=False) < 0.88


def test_rates_have_the_rows_of_the_transitions_and_samples_share_pictures() -> None:
    samples = [Sample(f"s{i}", "How many?", images=(f"{i // 2}.png",)) for i in range(8)]
    before, after = ["One."] * 8, ["1"] * 4 + ["a cat"] * 4
    kinds = ["x"] * 6 + ["y"] * 2
    rates = rates_by_kind(kinds, before, after, samples, answers=10)
    assert set(rates) == {"x", "y"}
    assert set(rates["x"]["1"]["after"]) == {"1", "cat"}
    # Three pictures, not six samples.
    found = rates["x"]["1"]["after"]["cat"]
    assert (found["low"], found["high"]) == pytest.approx((wilson(1, 3).low, wilson(1, 3).high))
    rare = rates_by_kind(["x"] * 8, [*"zzzbcdef"], [*"zzzzzzzz"], samples, answers=1)
    assert set(rare["x"]) == {"z", "(other)"}
