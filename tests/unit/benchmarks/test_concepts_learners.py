"""Rows, speed and factoring of the benchmark, at sizes of a second."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from benchmarks.concepts import factoring, speed
from benchmarks.concepts.multiplicative import best_vectors, semi_nmf
from benchmarks.concepts.rows import blurred, planted, power_law

from shiftlens.concepts.learners.semi_nmf import SemiNMF


@pytest.mark.parametrize("draw", [planted, blurred])
def test_rows_come_by_seed(draw) -> None:
    one, again, other = draw(50, 8, 4, 0), draw(50, 8, 4, 0), draw(50, 8, 4, 1)
    assert one.shape == (50, 8)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_spectrum_falls_as_a_power() -> None:
    spread = power_law(4000, 4, 0, decay=1.0, scale=2.0).std(dim=0)
    assert torch.allclose(spread, 2 / torch.arange(1, 5), rtol=0.1)


def test_inertia_is_the_sum_of_squared_distances() -> None:
    rows, centres = planted(30, 6, 3, 0), torch.randn(4, 6)
    expected = torch.cdist(rows.double(), centres.double()).min(dim=1).values.square().sum()
    assert speed.inertia((rows, 4), centres) == pytest.approx(float(expected))


def test_what_all_directions_leave_over_is_nothing() -> None:
    rows = planted(30, 6, 3, 0)
    assert speed.left_over((rows, 6), torch.randn(6, 6)) == pytest.approx(0, abs=1e-6)
    assert speed.left_over((rows, 1), torch.randn(1, 6)) > 1


@pytest.mark.filterwarnings("ignore::Warning")  # faiss and scikit-learn on so few rows
def test_speed_has_a_figure_of_everything() -> None:
    figures = speed.measure(n=300, d=8, k=4, rounds=1)
    names = " ".join(one.name for one in figures)
    for part in ("planted codes", "overlapping groups", "minibatch", "PCA", "faiss"):
        assert part in names
    inertia = [one for one in figures if one.goal == "<= 1.01"]
    assert len(inertia) == 2


def test_without_faiss_a_figure_says_so(monkeypatch) -> None:
    monkeypatch.setattr(speed, "installed", lambda _: False)
    figures = speed.beside_others("planted codes", planted, 300, 8, 4, 1)
    assert any("faiss-cpu is not installed" in one.how for one in figures)


def test_multiplicative_updates_never_raise_the_error() -> None:
    rows = power_law(80, 12, 0, scale=2.0)
    errors = [
        factoring.squared_error(rows, *semi_nmf(rows.numpy(), 4, 0, times))
        for times in (0, 1, 5, 25, 125)
    ]
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in pairwise(errors))
    assert errors[-1] < 0.9 * errors[0]


def test_best_vectors_leave_nothing_that_codes_could_explain() -> None:
    rows, codes = np.random.default_rng(0).normal(size=(20, 5)), np.eye(20, 3) + 0.2
    rest = rows - codes @ best_vectors(rows, codes)
    assert np.abs(codes.T @ rest).max() < 1e-9


def test_time_until_the_goal_is_that_of_all_fits_until_then() -> None:
    rows = power_law(60, 10, 0, scale=2.0)

    def learner_of(seed: int) -> SemiNMF:
        return SemiNMF(k=3, seed=seed, max_iter=5)

    null, value = float(rows.double().square().sum()), factoring.squared_error
    first, seconds = factoring.reaching(learner_of, rows, value, null)
    assert seconds == first.cpu
    worse, never = factoring.reaching(learner_of, rows, value, 0.0, seeds=2)
    assert never == float("inf")
    assert worse.objective == first.objective


def test_what_is_no_solution_is_refused() -> None:
    rows, codes, vectors = torch.ones(2, 3), np.ones((2, 1)), np.full((1, 3), 0.5)
    assert factoring.lasso_value(rows, codes, vectors) == pytest.approx(6 * 0.25 / 2 + 2)
    with pytest.raises(ValueError, match="longer than one"):
        factoring.lasso_value(rows, codes, 2 * vectors)
    with pytest.raises(ValueError, match="negative"):
        factoring.lasso_value(rows, -codes, vectors)


def test_factoring_has_a_figure_of_both() -> None:
    both = factoring.beside_scikit(60, 12, 3, 1, max_iter=20)
    both += factoring.beside_ding(60, 12, 3, 1, iterations=20)
    assert [one.goal for one in both] == [">= 50", "<= 1.01", "<= 1.01", ""]
    assert all(np.isfinite(one.value) for one in both)
