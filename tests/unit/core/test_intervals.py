"""Intervals: known values, an independent oracle, and what they promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import bootstrap_mean, percentile, wilson


def test_wilson_has_the_textbook_values() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29 by the score method."""
    table = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0000, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (successes, n), (low, high) in table.items():
        found = wilson(successes, n)
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_wilson_is_scipy_s(n: int) -> None:
    for successes in range(n + 1):
        found, oracle = wilson(successes, n), binomtest(successes, n).proportion_ci(method="wilson")
        assert found.low == pytest.approx(oracle.low, abs=1e-9)
        assert found.high == pytest.approx(oracle.high, abs=1e-9)
        assert 0 <= found.low <= found.estimate <= found.high <= 1
        mirrored = wilson(n - successes, n)
        assert mirrored.low == pytest.approx(1 - found.high)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_a_share_that_does_not_exist_is_refused(successes: int, n: int) -> None:
    with pytest.raises(ShiftLensError, match=f"a share of {successes} out of {n}"):
        wilson(successes, n)


def test_bootstrap_agrees_with_the_normal_interval_on_normal_data() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    found = bootstrap_mean(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.estimate == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


def test_bootstrap_covers_the_truth_about_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        found = bootstrap_mean(rng.exponential(1.0, 60), seed=trial, draws=400)
        covered += found.low <= 1.0 <= found.high
    assert 0.87 < covered / 200 < 0.99


def test_same_seed_same_interval() -> None:
    values = [0.0, 1.0, 1.0, 5.0, 2.0]
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1, draws=50) != bootstrap_mean(values, seed=2, draws=50)
    constant = bootstrap_mean([2.0] * 5)
    assert (constant.low, constant.estimate, constant.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 1.0])
def test_the_mean_of_nothing_or_of_a_table_is_refused(values: object) -> None:
    with pytest.raises(ShiftLensError, match="cannot take the mean"):
        bootstrap_mean(values)  # pyright: ignore[reportArgumentType]


def test_percentile_is_the_middle_95_of_the_finite_draws() -> None:
    draws = [*range(1001), float("nan"), float("inf")]
    found = percentile(draws, 7.0)
    assert (found.low, found.estimate, found.high) == (25.0, 7.0, 975.0)
    assert found.to_dict() == {"estimate": 7.0, "low": 25.0, "high": 975.0}
    with pytest.raises(ShiftLensError, match="no finite bootstrap draw"):
        percentile([float("nan")], 0.0)
