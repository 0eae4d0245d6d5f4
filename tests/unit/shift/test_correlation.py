"""Correlations over concepts: scipy's, with intervals, and within runs beside pooled."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from shiftlens.core.errors import ShiftLensError
from shiftlens.shift.correlation import correlate


def _related(n: int, r: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.standard_normal(n)
    return x, r * x + np.sqrt(1 - r**2) * random.standard_normal(n)


def test_estimates_are_scipy_s() -> None:
    x, y = _related(20, 0.6)
    y[:4] = y[0]  # ties
    found = correlate(x.tolist(), y.tolist())
    assert found is not None
    assert found.n == 20
    assert found.pearson.estimate == pytest.approx(pearsonr(x, y).statistic)
    assert found.spearman.estimate == pytest.approx(spearmanr(x, y).statistic)
    for interval in (found.pearson, found.spearman):
        assert -1 <= interval.low < interval.estimate < interval.high <= 1


def test_intervals_cover_the_truth_and_are_wide_for_twenty_concepts() -> None:
    held: list[bool] = []
    widths: list[float] = []
    for seed in range(200):
        x, y = _related(20, 0.5, seed)
        found = correlate(x.tolist(), y.tolist(), draws=400)
        assert found is not None
        held.append(found.pearson.low <= 0.5 <= found.pearson.high)
        widths.append(found.pearson.high - found.pearson.low)
    assert 0.87 <= np.mean(held) <= 0.99
    assert np.mean(widths) > 0.5


def test_pooling_two_runs_inflates_what_neither_shows() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.standard_normal(20), 6 + random.standard_normal(20)])
    y = np.concatenate([random.standard_normal(20), 6 + random.standard_normal(20)])
    runs = ["places"] * 20 + ["colors"] * 20
    pooled, within = (correlate(x.tolist(), y.tolist(), runs, within=one) for one in (False, True))
    assert pooled is not None
    assert within is not None
    for kind in ("pearson", "spearman"):
        assert getattr(pooled, kind).low > 0.6
        assert getattr(within, kind).low < 0 < getattr(within, kind).high
    assert pooled.n == within.n == 40


def test_what_holds_within_runs_is_found_though_pooling_hides_it() -> None:
    x, y = _related(40, 0.9)
    x[20:] += 8
    y[20:] -= 8
    runs = ["a"] * 20 + ["b"] * 20
    pooled, within = (correlate(x.tolist(), y.tolist(), runs, within=one) for one in (False, True))
    assert pooled is not None
    assert within is not None
    assert pooled.pearson.high < 0 < within.pearson.low


def test_the_order_of_concepts_does_not_count() -> None:
    x, y = _related(24, 0.4)
    runs = np.arange(24) % 3
    order = np.random.default_rng(1).permutation(24)
    one = correlate(x.tolist(), y.tolist(), runs.tolist(), within=True)
    two = correlate(x[order].tolist(), y[order].tolist(), runs[order].tolist(), within=True)
    assert one is not None
    assert two is not None
    assert one.pearson.estimate == pytest.approx(two.pearson.estimate)
    assert one.spearman.estimate == pytest.approx(two.spearman.estimate)


def test_unknown_concepts_are_left_out() -> None:
    x, y = _related(12, 0.5)
    gaps = [*x.tolist(), float("nan"), 3.0]
    found = correlate(gaps, [*y.tolist(), 1.0, float("nan")])
    assert found == correlate(x.tolist(), y.tolist())


@pytest.mark.parametrize(
    ("x", "y"), [([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ([1.0] * 6, [1.0, 2, 3, 4, 5, 6])]
)
def test_too_few_concepts_or_a_figure_that_does_not_vary_say_nothing(
    x: list[float], y: list[float]
) -> None:
    assert correlate(x, y) is None


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShiftLensError, match="5 values of one figure, 4 of the other"):
        correlate([1.0] * 5, [1.0] * 4)
