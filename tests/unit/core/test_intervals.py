"""Intervals: known values, an independent oracle, and what they promise."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binomtest

from shiftlens.core.errors import ShiftLensError
from shiftlens.core.intervals import (
    bootstrap,
    bootstrap_mean,
    bootstrap_paired,
    mcnemar,
    paired_difference,
    percentile,
    wilson,
)


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


def _pairs(both: int, lost: int, gained: int, neither: int) -> tuple[list[bool], list[bool]]:
    before = [True] * (both + lost) + [False] * (gained + neither)
    after = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return before, after


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 5), (2, 9), (0, 20), (59, 121)])
def test_mcnemar_is_the_coin_s_exact_tail_and_ignores_pairs_that_agree(
    lost: int, gained: int
) -> None:
    n, fewer = lost + gained, min(lost, gained)
    tail = 2 * sum(Fraction(math.comb(n, i), 2**n) for i in range(fewer + 1))
    found = mcnemar(*_pairs(7, lost, gained, 3))
    assert (found.lost, found.gained) == (lost, gained)
    assert found.p == pytest.approx(float(min(tail, Fraction(1))), rel=1e-9)
    assert mcnemar(*_pairs(700, lost, gained, 300)).p == pytest.approx(found.p)
    assert found.to_dict() == {"lost": lost, "gained": gained, "p": found.p}


def test_mcnemar_keeps_its_level_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    flags = rng.random((2, 300, 60)) < 0.6
    rejected = sum(mcnemar(a, b).p <= 0.05 for a, b in zip(*flags, strict=True))
    assert rejected / 300 <= 0.07


def test_paired_difference_has_the_shares_difference_and_is_antisymmetric() -> None:
    before, after = _pairs(40, 5, 15, 40)
    found, mirrored = paired_difference(before, after), paired_difference(after, before)
    assert found.estimate == pytest.approx(0.10)
    assert found.low < 0.10 < found.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_paired_difference_claims_no_certainty_where_no_pair_differs() -> None:
    same = [True] * 90 + [False] * 10
    found = paired_difference(same, same)
    assert found.estimate == 0
    assert (found.low, found.high) == pytest.approx((-wilson(0, 100).high, wilson(0, 100).high))
    # The twin: a bootstrap of the same pairs does.
    twin = bootstrap_paired(same, same)
    assert (twin.low, twin.high) == (0.0, 0.0)


@pytest.mark.parametrize(("before", "after", "ends"), [(0, 1, (0.0, 1.0)), (1, 0, (-1.0, 0.0))])
def test_paired_difference_stays_within_what_is_possible(
    before: int, after: int, ends: tuple[float, float]
) -> None:
    found = paired_difference([before] * 20, [after] * 20)
    assert ends[0] <= found.low < found.high <= ends[1] + 1e-12
    assert found.estimate == ends[1] + ends[0]


def test_paired_difference_covers_the_truth_where_much_changes_both_ways() -> None:
    """The twin forgets that gained and lost exclude each other, and covers too rarely."""
    rng = np.random.default_rng(0)
    truth, trials, n = -0.05, 1500, 120
    covered = forgetful = 0
    for lost, gained, _ in rng.multinomial(n, [0.45, 0.40, 0.15], trials):
        found = paired_difference(*_pairs(0, lost, gained, n - lost - gained))
        covered += found.low <= truth <= found.high
        down, up = wilson(int(lost), n), wilson(int(gained), n)
        below = math.hypot(up.estimate - up.low, down.high - down.estimate)
        above = math.hypot(up.high - up.estimate, down.estimate - down.low)
        forgetful += found.estimate - below <= truth <= found.estimate + above
    assert 0.93 <= covered / trials <= 0.98
    assert forgetful / trials < 0.90


@pytest.mark.parametrize("test", [mcnemar, paired_difference])
def test_flags_that_cannot_be_paired_are_refused(test: Callable[..., object]) -> None:
    with pytest.raises(ShiftLensError, match="cannot be paired: 0, 0 values"):
        test([], [])
    with pytest.raises(ShiftLensError, match="cannot be paired: 2, 1 values"):
        test([True, False], [True])
    for wrong in (0.5, float("nan"), 2):
        with pytest.raises(ShiftLensError, match="neither true nor false"):
            test([True, wrong], [True, False])
    with pytest.raises(ShiftLensError, match="neither true nor false"):
        test([[True], [False]], [[True], [False]])


def test_bootstrap_paired_is_the_bootstrap_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0, 5, 200)
    after = before + rng.normal(0.5, 0.1, 200)
    found = bootstrap_paired(before, after, seed=3)
    assert found == bootstrap_mean(after - before, seed=3)
    assert found.low > 0.4
    # The twin pairs each unit with another one and sees nothing.
    twin = bootstrap_paired(before, after[::-1], seed=3)
    assert twin.estimate == pytest.approx(found.estimate)
    assert twin.low < 0


@pytest.mark.parametrize("bad", [[1.0, float("nan")], [1.0, None], [1.0, float("inf")]])
def test_a_paired_difference_that_is_no_number_is_refused(bad: list[float]) -> None:
    with pytest.raises(ShiftLensError, match="not finite"):
        bootstrap_paired([0.0, 1.0], bad)
    with pytest.raises(ShiftLensError, match="cannot be paired: 3, 2 values"):
        bootstrap_paired([0.0, 1.0, 2.0], bad)


def test_bootstrap_resamples_rows_jointly() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    y = x + rng.normal(0, 0.1, 150)

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1])

    found = bootstrap(correlation, x, y, draws=500)
    assert found.estimate == pytest.approx(correlation(x, y))
    assert 0.98 < found.low <= found.estimate <= found.high <= 1
    shuffled = bootstrap(correlation, x, rng.permutation(y), draws=500)
    assert shuffled.low < 0 < shuffled.high


def test_bootstrap_of_a_mean_is_bootstrap_mean_and_blocks_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).exponential(1.0, 33)
    whole = bootstrap_mean(values, seed=4, draws=300)
    assert bootstrap(lambda x: float(x.mean()), values, seed=4, draws=300) == whole
    monkeypatch.setattr("shiftlens.core.intervals._BLOCK", 100)
    assert bootstrap_mean(values, seed=4, draws=300) == whole


def test_bootstrap_refuses_what_has_no_answer() -> None:
    with pytest.raises(ShiftLensError, match="no values"):
        bootstrap(lambda: 0.0)
    with pytest.raises(ShiftLensError, match="cannot be paired: 2, 3 values"):
        bootstrap(lambda a, b: 0.0, [1, 2], [1, 2, 3])
    with pytest.raises(ShiftLensError, match="the statistic is nan"):
        bootstrap(lambda a: float("nan"), [1, 2])
    with pytest.raises(ShiftLensError, match="not finite"):
        bootstrap(lambda a: 0.0, [1.0, float("nan")])
    with pytest.raises(ShiftLensError, match="0 bootstrap draws"):
        bootstrap(lambda a: 0.0, [1, 2], draws=0)
