"""Theorems of non-negative factors, each with a twin that must fail."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.unit.concepts.learners.factor_rows import falling, planted
from torch import Tensor

from shiftlens.concepts.learners.alternating import Problem, alternate, begin
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.learners.sparse_coding import SparseCoding


def _rises(history: list[float]) -> bool:
    return any(after > before * (1 + 1e-12) for before, after in pairwise(history))


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_the_objective_never_rises(penalty: float, seed: int) -> None:
    data = falling(150, 12, mean=0.2, seed=seed).double()
    square, problem = float(data.square().sum()), Problem(penalty)
    factors = begin(data, square, data[:5], problem)
    done = alternate(data, square, factors, problem, tol=0, max_iter=100)
    assert not _rises(list(done.history))
    assert done.history[-1] < done.history[0]


@pytest.mark.parametrize("seed", range(3))
def test_twin_clipped_least_squares_let_it_rise(seed: int) -> None:
    """The popular shortcut: codes of plain least squares, negative ones set to zero."""
    data = falling(150, 12, mean=0.2, seed=seed).double()
    square = float(data.square().sum())
    factors = begin(data, square, data[:5], Problem())
    done = alternate(data, square, factors, Problem(), tol=0, max_iter=100)
    vectors, history = done.vectors, [done.objective]
    for _ in range(5):
        codes = (data @ torch.linalg.pinv(vectors)).clamp_min(0)
        vectors = torch.linalg.pinv(codes) @ data
        history.append(float((data - codes @ vectors).square().sum()))
    assert _rises(history)


@pytest.mark.parametrize("seed", range(3))
def test_twin_steps_beyond_that_are_always_taken_let_it_rise(seed: int) -> None:
    data = falling(150, 12, mean=0.2, seed=seed).double()
    square, problem = float(data.square().sum()), Problem()
    factors = begin(data, square, data[:5], problem)
    history = []
    for _ in range(30):
        moved = alternate(data, square, factors, problem, tol=0, max_iter=1)
        beyond = factors.vectors + 3 * (moved.vectors - factors.vectors)
        factors = begin(data, square, beyond, problem)
        history.append(factors.objective)
    assert _rises(history)


def _turned(states: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    d = states.shape[1]
    turn = torch.linalg.qr(torch.randn(d, d, generator=random)).Q
    return states @ turn, turn


@pytest.mark.parametrize("learner", [SemiNMF(k=4, max_iter=30), SparseCoding(k=4, penalty=0.1)])
def test_turned_states_have_turned_concepts(learner: SemiNMF | SparseCoding) -> None:
    """Nothing but scalar products is looked at: codes do not know the axes."""
    states, _ = planted(150, 12, 4)
    turned, turn = _turned(states, 1)
    plain, other = learner.fit(states), learner.fit(turned)
    torch.testing.assert_close(other.vectors, plain.vectors @ turn, rtol=0, atol=1e-2)
    torch.testing.assert_close(other.encode(turned), plain.encode(states), rtol=0, atol=1e-2)


def test_twin_a_standard_space_knows_the_axes() -> None:
    states, _ = planted(150, 12, 4)
    turned, turn = _turned(states, 1)
    learner = SparseCoding(k=4, penalty=0.1, space="standard")
    plain, other = learner.fit(states), learner.fit(turned)
    assert float((other.vectors - plain.vectors @ turn).abs().max()) > 1e-2


def test_no_factors_of_k_concepts_beat_the_svd_and_more_concepts_can() -> None:
    states, _ = planted(150, 12, 6, noise=0.1)
    floor = PCA(k=3, centred=False).fit(states).report["objective"]
    for learner in (SemiNMF(k=3, tol=1e-5), SparseCoding(k=3, penalty=0.01)):
        found = learner.fit(states)
        rest = states - found.encoder.reconstruct(found.encode(states), found.vectors)
        assert float(rest.double().square().sum()) >= floor * (1 - 1e-6)
    assert SemiNMF(k=8, tol=1e-4).fit(states).report["objective"] < floor


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scaled_states_have_the_same_concepts_at_a_scaled_price(scale: float) -> None:
    states, _ = planted(150, 12, 4)
    plain = SparseCoding(k=4, penalty=0.1).fit(states)
    scaled = SparseCoding(k=4, penalty=0.1 * scale).fit(states * scale)
    torch.testing.assert_close(scaled.vectors, plain.vectors, rtol=0, atol=1e-3)
    assert scaled.report["objective"] == pytest.approx(plain.report["objective"] * scale**2)
    twin = SparseCoding(k=4, penalty=0.1).fit(states * scale)
    assert twin.report["zero_codes"] != pytest.approx(plain.report["zero_codes"], abs=1e-3)


def test_the_codes_of_an_encoder_are_the_best_that_there_are() -> None:
    """No random change of the codes helps; of clipped projections, which are not best, many do."""
    states, _ = planted(100, 12, 4)
    found = SparseCoding(k=4, penalty=0.1).fit(states)
    codes = found.encode(states)
    random = np.random.default_rng(0)

    def value(codes: Tensor) -> Tensor:
        rest = states - codes @ found.vectors
        return rest.square().sum(dim=1) + 0.1 * codes.sum(dim=1)

    clipped = (states @ found.vectors.T).clamp_min(0)
    helped = torch.zeros(100, dtype=torch.bool)
    for _ in range(50):
        change = torch.from_numpy(random.normal(size=codes.shape, scale=0.02)).float()
        assert bool((value((codes + change).clamp_min(0)) >= value(codes) - 1e-5).all())
        helped |= value((clipped + change).clamp_min(0)) < value(clipped) - 1e-5
    assert int(helped.sum()) > 50
