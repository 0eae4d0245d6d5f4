"""Intervals from refits: at the estimate's level, with the spread of a mean over several cuts."""

import numpy as np
import pytest

from shiftlens.core.errors import ShiftLensError
from shiftlens.shift.intervals import Refits, around, moved


def _values(n: int, *, samples: float, cut: float, level: float = 0.0) -> np.ndarray:
    """Refits whose spread between resamples and between cuts is known: (n, 2)."""
    random = np.random.default_rng(0)
    return level + samples * random.standard_normal((n, 1)) + cut * random.standard_normal((n, 2))


@pytest.mark.parametrize("level", [-5.0, 0.0, 5.0])
def test_the_interval_holds_the_estimate_wherever_the_refits_lie(level: float) -> None:
    found = around(_values(60, samples=1.0, cut=1.0, level=level), 0.64, 4)
    assert found.low < 0.64 < found.high


@pytest.mark.parametrize(("samples", "cut"), [(1.0, 0.0), (1.0, 1.0), (0.2, 2.0), (0.0, 1.0)])
def test_the_spread_is_that_of_a_mean_over_the_estimate_s_cuts(samples: float, cut: float) -> None:
    values = _values(20_000, samples=samples, cut=cut)
    spread = float(np.std(moved(values, 0.0, 4)))
    assert spread == pytest.approx(np.sqrt(samples**2 + cut**2 / 4), rel=0.03)
    if cut > 0:  # twin: one cut a resample, as it stands, spreads more
        assert float(values[:, 0].std()) > 1.1 * spread


def test_the_interval_is_never_made_wider_than_the_refits() -> None:
    values = _values(400, samples=1.0, cut=1.0)
    assert np.std(moved(values, 0.0, 1)) <= np.std(values.mean(axis=1)) + 1e-12


def test_few_draws_do_not_make_a_short_interval() -> None:
    """One more draw of the same kind falls outside in about 2 of n + 1 cases, also for few."""
    random, outside = np.random.default_rng(0), 0
    for _ in range(3000):
        draws = random.standard_normal((21, 1))
        found = around(draws[:20], float(np.median(draws[:20])), 1)
        outside += not found.low <= draws[20, 0] <= found.high
    assert outside / 3000 == pytest.approx(2 / 21, abs=0.015)


def test_what_a_refit_does_not_know_is_left_out() -> None:
    values = _values(50, samples=1.0, cut=0.5)
    gaps = values.copy()
    gaps[::5, 1] = np.nan
    assert np.isnan(moved(gaps, 0.0, 4)).sum() == 10
    assert np.isfinite(around(gaps, 0.0, 4).low)
    with pytest.raises(ShiftLensError, match="no finite refit"):
        around(np.full((5, 2), np.nan), 0.0, 4)


def test_a_single_refit_still_gives_an_interval() -> None:
    found = around(np.array([[0.2, 0.4]]), 0.5, 4)
    assert (found.low, found.high) == (0.5, 0.5)


def test_a_share_needs_room() -> None:
    random = np.random.default_rng(0)
    noise = 0.01 * random.standard_normal((40, 2))
    values = {"concept": 0.8 + noise, "global": 0.6 - noise, "high": 0.9 + 0 * noise}
    values["low"] = 0.6 + 0.05 * random.standard_normal((40, 2))
    refits = Refits(values, 4)
    numbers = {"concept": 0.8, "global": 0.6, "high": 0.9, "low": 0.6}
    share = refits.share(numbers, "high")
    assert share is not None
    assert share.low < share.estimate < share.high
    assert share.estimate == pytest.approx(2 / 3)
    assert refits.share(numbers, "low") is None
