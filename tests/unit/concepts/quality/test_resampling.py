"""Intervals of sums over sums, with rows of one picture kept together."""

import numpy as np
import pytest

from shiftlens.concepts.quality.resampling import (
    PerRow,
    figure_of,
    half_samples,
    spread_interval,
    student,
    units_of,
)
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import bootstrap_mean


def _figure(values: np.ndarray, others=None, groups=None, **options):
    own = PerRow.mean(values)
    rest = {name: PerRow.mean(one) for name, one in (others or {}).items()}
    units = units_of(len(values), groups)
    return figure_of("x", own, rest, units, unit="rows", **options)


def test_a_mean_has_the_interval_of_the_ordinary_bootstrap() -> None:
    values = np.random.default_rng(0).normal(size=80)
    ours, theirs = _figure(values, draws=2000).value, bootstrap_mean(values, seed=1)
    assert ours.estimate == pytest.approx(theirs.estimate)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.1)


def test_rows_of_one_picture_are_one_piece_of_evidence() -> None:
    values = np.random.default_rng(0).normal(size=40)
    groups = [f"p{row // 4}" for row in range(160)]
    four_times = _figure(np.repeat(values, 4), groups=groups).value
    once, naive = _figure(values).value, _figure(np.repeat(values, 4)).value
    assert four_times.high - four_times.low == pytest.approx(once.high - once.low, rel=0.15)
    # Twin: rows taken for independent give half the width.
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_a_paired_difference_is_narrower_than_its_parts() -> None:
    random = np.random.default_rng(0)
    hard = random.normal(size=200) * 5
    found = _figure(hard + 1, {"other": hard + 0.1 * random.normal(size=200)})
    difference = found.beside("other").difference
    assert difference is not None
    assert 0.9 < difference.low < difference.high < 1.1
    assert found.value.high - found.value.low > 1


def test_a_difference_is_over_rows_that_both_could_measure() -> None:
    own = np.asarray([1.0, 1.0, 5.0, np.nan])
    other = np.asarray([0.0, 0.0, np.nan, np.nan])
    found = _figure(own, {"other": other})
    difference = found.beside("other").difference
    assert difference is not None
    assert (difference.estimate, difference.low, difference.high) == (1, 1, 1)
    assert found.value.estimate == pytest.approx(7 / 3)
    assert found.counts["left out"] == 1


def test_many_units_are_blocked_and_the_spread_stays() -> None:
    values = np.random.default_rng(0).normal(size=30_000)
    found = _figure(values, draws=400).value
    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(30_000), rel=0.15)


def test_same_seed_same_interval() -> None:
    values = np.arange(20.0)
    assert _figure(values, seed=3).value == _figure(values, seed=3).value
    assert _figure(values, seed=3).value != _figure(values, seed=4).value


def test_halves_give_the_standard_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=200)
    whole, halves = half_samples(
        lambda rows: np.asarray([values[rows].mean()]), np.arange(200), draws=400
    )
    found = spread_interval(float(whole[0]), halves[:, 0], most=9)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.15)


def test_students_interval_of_few_values_is_wide() -> None:
    found = student([0.0, 1.0])
    assert found.estimate == 0.5
    assert found.high == pytest.approx(0.5 + 12.706 * 0.5, rel=1e-3)
    assert student([0.9, 1.0], most=1.0).high == 1.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(LearnError, match="interval from 1 values"):
        student([1.0])
    with pytest.raises(LearnError, match="3 rows with 2 groups"):
        units_of(3, ["a", "b"])
    with pytest.raises(LearnError, match="no rows"):
        units_of(0, None)
    with pytest.raises(LearnError, match="measured on no row"):
        _figure(np.full(3, np.nan))
    with pytest.raises(LearnError, match="0 bootstrap draws"):
        _figure(np.ones(3), draws=0)
    with pytest.raises(LearnError, match="interval from 3 units"):
        half_samples(lambda rows: rows[:1], np.arange(3))
    broken = PerRow(np.asarray([np.inf, 1.0]), np.ones(2))
    with pytest.raises(LearnError, match="'x' is not finite"):
        figure_of("x", broken, {}, np.arange(2), unit="rows")
