"""Sparse coding: as low as scikit-learn's, both conventions of the penalty, parts are found."""

import pytest
import torch
from tests.unit.concepts.learners.factor_rows import (
    PiecewiseRows,
    falling,
    golden,
    matched,
    planted,
)
from torch import Tensor

from shiftlens.concepts.encoders import NO_CONCEPT
from shiftlens.concepts.learners import sampling
from shiftlens.concepts.learners.learner import Learned, learners
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.core.errors import LearnError


def _halved_objective(states: Tensor, learned: Learned, alpha: float) -> float:
    """scikit-learn's objective, written out."""
    codes = learned.encode(states).double()
    rest = states.double() - codes @ learned.vectors.double()
    return float(0.5 * rest.square().sum() + alpha * codes.sum())


@pytest.mark.parametrize("case", ["planted", "falling", "far"])
def test_as_low_as_scikit_learn(case: str) -> None:
    """The best of 8 starts of ``DictionaryLearning``, within a hundred thousandth."""
    known = golden()[case]
    states, alpha = torch.tensor(known["states"]), known["alpha"]
    found = SparseCoding(k=known["k"], penalty=alpha, halved=True, n_starts=8).fit(states)
    assert _halved_objective(states, found, alpha) <= known["dictionary_learning"] * (1 + 1e-5)
    assert float(found.vectors.norm(dim=1).max()) <= 1 + 1e-6


def test_the_two_conventions_are_one_problem() -> None:
    states, _ = planted()
    ours = SparseCoding(k=5, penalty=0.2).fit(states)
    halved = SparseCoding(k=5, penalty=0.1, halved=True).fit(states)
    assert ours.vectors.equal(halved.vectors)
    assert ours.report["objective"] == pytest.approx(2 * halved.report["objective"])
    assert halved.report["objective"] == pytest.approx(
        _halved_objective(states, halved, 0.1), rel=1e-5
    )
    twin = SparseCoding(k=5, penalty=0.1).fit(states)
    assert not torch.allclose(twin.encode(states), ours.encode(states), atol=1e-3)


def test_planted_parts_are_found_and_by_semi_nmf_are_not() -> None:
    states, parts = planted(500, 24, 6)
    assert matched(SparseCoding(k=6, penalty=0.05).fit(states).vectors, parts) > 0.98
    assert matched(SemiNMF(k=6).fit(states).vectors, parts) < 0.98


def test_a_higher_price_makes_more_codes_zero() -> None:
    states = falling(300, 20)
    shares = [
        SparseCoding(k=6, penalty=price).fit(states).report["zero_codes"]
        for price in (0.01, 0.3, 1.5)
    ]
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2


def test_a_price_that_nothing_pays_leaves_rows_without_concept() -> None:
    states, _ = planted()
    found = SparseCoding(k=4, penalty=100.0).fit(states)
    assert found.sizes == (0, 0, 0, 0)
    assert found.report["zero_codes"] == 1.0
    assert found.report["rows_without_concept"] == 300
    assert found.report["relative_error"] == pytest.approx(1.0)
    assert found.assign(states).unique().tolist() == [NO_CONCEPT]
    assert bool(torch.isfinite(found.vectors).all())


def test_sizes_count_rows_by_their_largest_code() -> None:
    states, _ = planted()
    found = SparseCoding(k=5, penalty=0.5).fit(states)
    labels = found.assign(states)
    assert list(found.sizes) == torch.bincount(labels[labels >= 0], minlength=5).tolist()
    assert found.report["rows_without_concept"] == int((labels < 0).sum())


def test_rows_in_pieces_give_what_rows_in_memory_give() -> None:
    states, _ = planted()
    whole = SparseCoding(k=5, penalty=0.1).fit(states)
    pieces = SparseCoding(k=5, penalty=0.1).fit(PiecewiseRows(states, 37))
    assert pieces.report["objective"] == pytest.approx(whole.report["objective"], rel=1e-2)
    torch.testing.assert_close(pieces.vectors, whole.vectors, rtol=1e-3, atol=1e-3)


def test_a_small_sample_is_made_up_for_by_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    states, parts = planted(3000, 40, 6)
    whole = SparseCoding(k=6, penalty=0.1).fit(states)
    monkeypatch.setattr(sampling, "SAMPLE_VALUES", 200 * 40)
    found = SparseCoding(k=6, penalty=0.1).fit(states)
    assert found.report["sampled_rows"] == 200
    assert found.report["objective"] <= 1.01 * whole.report["objective"]
    assert matched(found.vectors, parts) > 0.98


def test_wide_rows() -> None:
    states, parts = planted(300, 400, 5, noise=0.01)
    found = SparseCoding(k=5, penalty=0.05).fit(states)
    assert matched(found.vectors, parts) > 0.95


def test_more_concepts_than_there_are_parts_stay_finite() -> None:
    states = torch.eye(3, 8).repeat(20, 1)
    found = SparseCoding(k=10, penalty=0.1).fit(states)
    assert bool(torch.isfinite(found.vectors).all())
    assert found.report["objective"] == pytest.approx(60 * (0.1 - 0.05**2), rel=1e-3)


def test_without_a_price_it_is_semi_nmf() -> None:
    states, _ = planted()
    sparse = SparseCoding(k=5, penalty=0.0, max_iter=40, tol=1e-7).fit(states)
    assert sparse.vectors.equal(SemiNMF(k=5, max_iter=40, tol=1e-7).fit(states).vectors)


def test_same_seed_same_bits() -> None:
    states, _ = planted()
    one, other = (SparseCoding(k=5, seed=3).fit(states) for _ in range(2))
    assert one.vectors.equal(other.vectors)
    assert (one.sizes, one.report) == (other.sizes, other.report)


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf")])
def test_penalties_that_make_no_sense(penalty: float) -> None:
    with pytest.raises(LearnError, match=r"penalty is .*\n.*finite number, 0 or more"):
        SparseCoding(k=2, penalty=penalty).fit(planted()[0])


def test_it_is_known_by_name() -> None:
    assert learners.get("sparse-coding") is SparseCoding
    assert SparseCoding(k=2).options()["penalty"] == 1.0
