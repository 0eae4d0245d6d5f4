"""Budgets: what is read, what they cover, what keeps and breaks them."""

import math

import pytest

from shiftlens.core.errors import SteeringError
from shiftlens.core.intervals import Interval
from shiftlens.steering.searching.budgets import (
    Budget,
    excess,
    keeps,
    read_budget,
    require_known,
    standing,
    surely_broken,
)

COSTS = {"loss:a": Interval(0.01, -0.01, 0.03), "loss:b": Interval(0.05, 0.02, 0.09)}


@pytest.mark.parametrize(
    ("text", "measure", "limit"),
    [
        ("loss <= .01", "loss", 0.01),
        ("loss<=0", "loss", 0.0),
        ("Over-Refusal <= .02", "over_refusal", 0.02),
        ("over refusal:benign ≤ 2e-2", "over_refusal:benign", 0.02),
        ("first_token_kl <= -1", "first_token_kl", -1.0),
        ("loss:my-data.v2 <= 1", "loss:my-data.v2", 1.0),
    ],
)
def test_a_budget_is_read(text: str, measure: str, limit: float) -> None:
    assert read_budget(text) == Budget(measure, limit)


@pytest.mark.parametrize("text", ["loss", "loss < .1", "<= .1", "loss <= much", "loss >= .1", ""])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(SteeringError, match="cannot be read"):
        read_budget(text)


def test_no_number_is_no_budget() -> None:
    with pytest.raises(SteeringError, match="is no number"):
        Budget("loss", math.nan)


def test_a_name_covers_itself_and_its_parts_and_no_other() -> None:
    assert Budget("loss", 0).covers("loss:a")
    assert Budget("loss", 0).covers("loss")
    assert Budget("loss:a", 0).covers("loss:a")
    assert not Budget("loss:a", 0).covers("loss:ab")
    assert not Budget("loss", 0).covers("losses")


def test_every_cost_must_keep_its_budget() -> None:
    assert keeps([Budget("loss", 0.05)], COSTS)
    assert not keeps([Budget("loss", 0.04)], COSTS)
    assert keeps([Budget("loss:a", 0.01)], COSTS)
    assert keeps([], COSTS)


def test_rounding_breaks_no_budget() -> None:
    loss = 3 / 200 - 1 / 200 + 1e-17
    assert keeps([Budget("loss", 0.01)], {"loss": Interval(loss, 0, 1)})


def test_only_a_whole_interval_breaks_a_budget_surely() -> None:
    assert surely_broken([Budget("loss", 0.01)], COSTS) == "loss <= 0.01"
    assert surely_broken([Budget("loss", 0.03)], COSTS) == ""


def test_the_reporting_half_may_leave_a_budget_undecided() -> None:
    assert standing(Budget("loss", 0.1), COSTS) == "kept"
    assert standing(Budget("loss", 0.05), COSTS) == "undecided"
    assert standing(Budget("loss", 0.01), COSTS) == "broken"
    with pytest.raises(SteeringError, match="nothing was measured"):
        standing(Budget("kl", 1), COSTS)


def test_excess_counts_in_budgets() -> None:
    kl = {"kl": Interval(1.5, 1, 2)}
    assert excess([Budget("kl", 0.5)], kl) == pytest.approx(2.0)
    assert excess([Budget("kl", 0.5), Budget("loss", 0.01)], {**kl, **COSTS}) == pytest.approx(4.0)


def test_a_budget_on_nothing_is_refused_with_what_there_is() -> None:
    with pytest.raises(SteeringError, match="no cost is called 'fluency'") as caught:
        require_known([Budget("fluency", 1)], list(COSTS))
    assert "loss, loss:a, loss:b" in str(caught.value)
    with pytest.raises(SteeringError, match="a loss needs data"):
        require_known([Budget("loss", 1)], ["repeats:target"])
    require_known([Budget("loss", 1)], list(COSTS))
