"""Intervals: known values, honest where nothing happened, and right at the margin."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import Interval, wilson
from shiftlens.study.check.intervals import (
    AtScale,
    Units,
    mean_at,
    quantile_at,
    score,
    share_at,
)

Draw = Callable[[np.random.Generator], np.ndarray]


def _single(values: np.ndarray) -> Units:
    return Units.of(values, range(len(values)))


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 40), (40, 40), (17, 300)])
def test_a_share_has_wilson_s_interval(k: int, n: int) -> None:
    found = share_at(_single(np.arange(n) < k), 0.95)(1.0)
    assert found.to_dict() == pytest.approx(wilson(k, n).to_dict())


@given(st.integers(1, 30), st.integers(1, 6))
def test_where_all_samples_of_a_picture_agree_pictures_are_what_counts(g: int, m: int) -> None:
    groups = np.repeat(np.arange(g), m).tolist()
    for flags in (np.zeros(g), np.arange(g) < g // 2):
        many = share_at(Units.of(np.repeat(flags, m), groups), 0.95)(1.0)
        one = share_at(_single(flags), 0.95)(1.0)
        assert many.to_dict() == pytest.approx(one.to_dict())


def test_repeats_that_do_not_agree_are_worth_more_than_none() -> None:
    flags = np.tile([1.0, 0.0, 0.0, 0.0], 50)
    many = share_at(Units.of(flags, np.repeat(np.arange(50), 4).tolist()), 0.95)(1.0)
    assert many.to_dict() == pytest.approx(wilson(50, 200).to_dict())


@given(st.integers(1, 500), st.floats(0.0, 1.0))
def test_a_change_that_never_happened_is_no_certainty(n: int, reach: float) -> None:
    """As Wilson's and Tango's: z^2 / (n + z^2) of the largest change; a bootstrap alone has 0."""
    reach += 0.1
    found = mean_at(_single(np.zeros(n)), (-reach, reach), 0.95, draws=200)(1.0)
    z = 1.959963984540054
    expected = reach * z**2 / (n + z**2)
    assert found.high == pytest.approx(expected)
    assert found.low == pytest.approx(-expected)


def test_a_large_mean_has_the_bootstrap_s_or_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(1.0, 2.0, 2000)
    found = mean_at(_single(values), (-10, 10), 0.95)(1.0)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.low == pytest.approx(values.mean() - half, abs=0.03)
    assert found.high == pytest.approx(values.mean() + half, abs=0.03)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=60), st.floats(1.0, 50.0))
def test_more_pictures_narrow_and_the_estimate_stays_inside(
    values: list[float], scale: float
) -> None:
    data = np.asarray(values)
    for at in (
        mean_at(_single(data), (-1, 1), 0.95, draws=200),
        share_at(_single(np.abs(data)), 0.95),
    ):
        now, more = at(1.0), at(scale)
        assert now.low <= more.low + 1e-9 <= more.estimate + 2e-9
        assert more.estimate <= more.high + 1e-9 <= now.high + 2e-9


def test_a_higher_level_is_wider() -> None:
    data = np.random.default_rng(1).random(80)
    flags = (data < 0.2).astype(float)
    for make in (
        lambda level: share_at(_single(flags), level),
        lambda level: mean_at(_single(data), (0, 1), level),
        lambda level: quantile_at(_single(data), 0.5, level),
    ):
        usual, wide = make(0.95)(1.0), make(0.999)(1.0)
        assert wide.low < usual.low
        assert wide.high > usual.high


def test_a_quantile_agrees_with_binomial_ranks() -> None:
    """Conover's ranks for the median of 100: the 40th and the 61st value, by the exact binomial."""
    found = quantile_at(_single(np.arange(1.0, 101.0)), 0.5, 0.95)(1.0)
    assert (found.low, found.high) == (pytest.approx(40, abs=1), pytest.approx(61, abs=1))


@pytest.mark.parametrize(("quantile", "n"), [(0.9, 35), (0.95, 73), (0.99, 381)])
def test_a_quantile_of_too_few_values_has_no_upper_end(quantile: float, n: int) -> None:
    assert np.isfinite(quantile_at(_single(np.zeros(n)), quantile, 0.95)(1.0).high)
    assert np.isinf(quantile_at(_single(np.zeros(n - 1)), quantile, 0.95)(1.0).high)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_values_without_pictures_are_refused(values: list[float]) -> None:
    with pytest.raises(ShiftLensError, match="have no interval"):
        Units.of(values, [1, 2])


def _cells(up: float, down: float, size: int) -> Draw:
    """Paired differences: 1 with one chance, -1 with another."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        u = rng.random(size)
        return np.where(u < up, 1.0, np.where(u < up + down, -1.0, 0.0))

    return draw


def _shares(values: Units) -> AtScale:
    return share_at(values, 0.95)


def _differences(values: Units) -> AtScale:
    return mean_at(values, (-1, 1), 0.95, draws=200)


def _nats(values: Units) -> AtScale:
    return mean_at(values, (0, 5), 0.95, draws=200)


def _median(values: Units) -> AtScale:
    return quantile_at(values, 0.5, 0.95)


def _misses(draw: Draw, groups: list[int], at: Callable[[Units], AtScale], truth: float) -> tuple:
    """Share of runs whose interval lies below the truth, and above it."""
    rng = np.random.default_rng(7)
    found: list[Interval] = [at(Units.of(draw(rng), groups))(1.0) for _ in range(500)]
    return (
        float(np.mean([one.high < truth for one in found])),
        float(np.mean([one.low > truth for one in found])),
    )


@pytest.mark.parametrize(
    ("draw", "at", "truth"),
    [
        (lambda rng: rng.random(200) < 0.05, _shares, 0.05),
        (lambda rng: rng.random(60) < 0.1, _shares, 0.1),
        (lambda rng: np.repeat(rng.random(100) < 0.1, 4), _shares, 0.1),
        (lambda rng: rng.random(400) < 0.1, _shares, 0.1),
        (_cells(0.08, 0.03, 120), _differences, 0.05),
        (_cells(0.05, 0.0, 60), _differences, 0.05),
        (_cells(0.3, 0.3, 100), _differences, 0.0),
        (lambda rng: np.repeat(_cells(0.1, 0.05, 100)(rng), 3), _differences, 0.05),
        (lambda rng: rng.exponential(0.2, 150), _nats, 0.2),
        # One answer in 25 is changed altogether: what a small sample does not see at all.
        (lambda rng: (rng.random(40) < 0.04) * 4.0, _nats, 0.16),
        (lambda rng: rng.exponential(1.0, 150), _median, float(np.log(2))),
    ],
)
def test_a_change_at_the_margin_passes_in_at_most_one_run_in_twenty(
    draw: Draw, at: Callable[[Units], AtScale], truth: float
) -> None:
    """And fails as rarely: what a rule calls sure is sure."""
    n = len(draw(np.random.default_rng(0)))
    groups = [i // (n // 100) for i in range(n)] if n in (300, 400) else list(range(n))
    passed, failed = _misses(draw, groups, at, truth)
    assert passed <= 0.05
    assert failed <= 0.05


def test_twin_samples_that_are_copies_must_not_count_as_many() -> None:
    """The same draws, every copy called a picture of its own: wrong far too often."""
    draw = lambda rng: np.repeat(rng.random(100) < 0.1, 4)  # noqa: E731
    passed, failed = _misses(draw, list(range(400)), _shares, 0.1)
    assert passed > 0.08
    assert failed > 0.08


def test_twin_what_was_not_seen_must_not_be_taken_for_impossible() -> None:
    """Why pictures are made up: in a fifth of the runs no answer changed; with nothing beyond what
    was seen, these are sure of it."""
    draw = lambda rng: (rng.random(40) < 0.04) * 4.0  # noqa: E731

    def seen(units: Units) -> AtScale:
        return mean_at(units, (0.0, float(units.values.max())), 0.95, draws=200)

    passed, _ = _misses(draw, list(range(40)), seen, 0.16)
    assert passed > 0.15


def test_score_takes_units_that_are_not_whole() -> None:
    below, between, above = (score(0.2, n, 0.95).high for n in (30, 30.5, 31))
    assert below > between > above
