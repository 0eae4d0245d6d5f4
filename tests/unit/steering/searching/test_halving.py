"""Which cells are dropped early, and which never are."""

import numpy as np
import pytest

from shiftlens.core.intervals import Interval, wilson
from shiftlens.steering.searching.budgets import Budget
from shiftlens.steering.searching.halving import dropped, rungs
from shiftlens.steering.searching.measured import Measured

BUDGET = [Budget("loss", 0.01)]


def cell(
    effect: tuple[float, float, float] | None,
    loss: tuple[float, float, float] = (0.0, 0.0, 0.0),
    *,
    lower_is_better: bool = False,
) -> Measured:
    return Measured(
        "x",
        50,
        50,
        None if effect is None else Interval(*effect),
        {"loss:a": Interval(*loss)},
        lower_is_better=lower_is_better,
    )


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(200, (50, 100, 200)), (201, (51, 101, 201)), (40, (20, 40)), (20, (20,)), (3, (3,))],
)
def test_rungs_grow_and_end_with_everything(n: int, sizes: tuple[int, ...]) -> None:
    assert rungs(n, halving=True) == sizes
    assert rungs(n, halving=False) == (n,)


def test_the_surely_worse_of_the_worse_half_are_dropped() -> None:
    table = {
        "best": cell((0.9, 0.8, 0.95)),
        "good": cell((0.7, 0.6, 0.75)),
        "poor": cell((0.1, 0.05, 0.2)),
        "unsure": cell((0.5, 0.1, 0.85)),
    }
    assert dropped(table, BUDGET) == {"poor": "surely less effect than another"}


def test_the_better_half_goes_on_though_it_is_surely_worse_than_the_best() -> None:
    table = {"best": cell((0.9, 0.85, 0.95)), "second": cell((0.5, 0.4, 0.6))}
    assert list(dropped(table, BUDGET)) == ["second"]
    table |= {"third": cell((0.2, 0.1, 0.3)), "fourth": cell((0.1, 0.0, 0.2))}
    assert sorted(dropped(table, BUDGET)) == ["fourth", "third"]


def test_a_cell_that_surely_breaks_a_budget_is_dropped_whatever_its_effect() -> None:
    table = {"best": cell((1.0, 0.9, 1.0), (0.3, 0.2, 0.4)), "other": cell((0.1, 0.0, 0.3))}
    assert dropped(table, BUDGET) == {"best": "breaks loss <= 0.01"}
    assert dropped(table, []) == {"other": "surely less effect than another"}


def test_a_cell_over_its_budget_drops_no_other() -> None:
    """Otherwise the only cells that keep the budgets could be lost to one that does not."""
    strong = cell((1.0, 0.9, 1.0), (0.05, 0.0, 0.1))
    weak = cell((0.1, 0.05, 0.2))
    assert dropped({"strong": strong, "weak": weak}, BUDGET) == {}
    twin = cell((1.0, 0.9, 1.0), (0.005, 0.0, 0.1))
    assert list(dropped({"strong": twin, "weak": weak}, BUDGET)) == ["weak"]


def test_what_no_sample_counts_drops_nothing() -> None:
    assert dropped({"a": cell(None), "b": cell(None)}, BUDGET) == {}
    assert dropped({"a": cell((0.9, 0.8, 1.0)), "b": cell(None)}, BUDGET) == {}


def test_less_may_be_better() -> None:
    table = {
        "low": cell((0.1, 0.0, 0.2), lower_is_better=True),
        "high": cell((0.9, 0.8, 1.0), lower_is_better=True),
    }
    assert list(dropped(table, BUDGET)) == ["high"]


def test_the_best_cell_survives_its_rungs() -> None:
    """Simulated: the truly best of ten cells is dropped far more rarely than 5 times in 100."""
    rng = np.random.default_rng(0)
    truth = np.array([0.6, 0.55, 0.5, 0.4, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0])
    lost = kept = 0
    for _ in range(200):
        shares = {at: wilson(int(rng.binomial(50, p)), 50) for at, p in enumerate(truth.tolist())}
        gone = dropped({at: Measured("x", 50, 50, one) for at, one in shares.items()}, [])
        lost += 0 in gone
        kept += len(truth) - len(gone)
    assert lost == 0
    assert kept < 200 * 7, "and yet it halves"
