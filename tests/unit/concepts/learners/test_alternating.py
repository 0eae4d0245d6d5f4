"""Alternation: better vectors for given codes, dead concepts revived, bounds kept."""

import pytest
import torch
from tests.unit.concepts.learners.factor_rows import falling, planted
from torch import Tensor

from shiftlens.concepts.learners.alternating import (
    CodeMoments,
    Factors,
    Problem,
    Stride,
    alternate,
    begin,
    revived,
    unit,
)


def _given(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Data (200, 10), codes (200, 4) with many zeros, vectors (4, 10)."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.rand(200, 4, generator=random).double()
    codes = codes * (torch.rand(200, 4, generator=random) < 0.6)
    vectors = torch.randn(4, 10, generator=random).double()
    return falling(200, 10, seed=seed).double(), codes, vectors


def _square(data: Tensor) -> float:
    return float(data.square().sum())


def test_the_objective_from_moments_is_the_objective() -> None:
    data, codes, vectors = _given()
    moments = CodeMoments.of(codes, data)
    direct = _square(data - codes @ vectors) + 0.3 * float(codes.sum())
    assert Problem(0.3).objective(_square(data), moments, vectors) == pytest.approx(direct)


def test_vectors_without_a_penalty_are_those_of_least_squares() -> None:
    data, codes, vectors = _given()
    found = Problem().vectors(CodeMoments.of(codes, data), vectors)
    torch.testing.assert_close(found, torch.linalg.lstsq(codes, data).solution)


def test_vectors_with_a_penalty_keep_to_the_ball_and_end_at_the_optimum() -> None:
    """The optimum's conditions, written out: a multiplier >= 0 for each bound, 0 for others."""
    data, codes, vectors = _given()
    moments, problem = CodeMoments.of(codes / 4, data), Problem(1.0)
    vectors = unit(vectors)[0]
    for _ in range(500):
        better = problem.vectors(moments, vectors)
        before, after = (problem.objective(_square(data), moments, u) for u in (vectors, better))
        assert after <= before + 1e-9
        vectors = better
    lengths = vectors.norm(dim=1)
    assert float(lengths.max()) <= 1 + 1e-12
    pull = moments.cross - moments.second @ vectors
    bound = lengths > 1 - 1e-9
    assert bool(bound.any())
    multipliers = (pull * vectors).sum(dim=1)
    torch.testing.assert_close(pull, multipliers[:, None] * vectors, rtol=0, atol=1e-6)
    assert float(multipliers.min()) > -1e-6
    assert float(multipliers[~bound].abs().sum()) < 1e-6


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_vectors_that_no_row_uses_stay(penalty: float) -> None:
    data, codes, vectors = _given()
    codes[:, 2] = 0
    found = Problem(penalty).vectors(CodeMoments.of(codes, data), vectors)
    torch.testing.assert_close(found[2], vectors[2])
    assert not torch.allclose(found[1], vectors[1])
    nothing = CodeMoments.of(torch.zeros_like(codes), data)
    assert Problem(penalty).vectors(nothing, vectors).equal(vectors)


def test_equal_codes_do_not_break_least_squares() -> None:
    data, codes, vectors = _given()
    codes[:, 3] = codes[:, 2]
    found = Problem().vectors(CodeMoments.of(codes, data), vectors)
    best = codes @ torch.linalg.pinv(codes) @ data
    torch.testing.assert_close(codes @ found, best, rtol=1e-4, atol=1e-4)


def test_dead_concepts_turn_to_the_rows_that_are_served_worst() -> None:
    data, codes, vectors = _given()
    codes[:, [1, 3]] = 0
    moments = CodeMoments.of(codes, data)
    found = revived(vectors, codes, moments, data, Problem())
    rest = data - codes @ vectors
    worst = rest.norm(dim=1).argsort(descending=True)[:2]
    torch.testing.assert_close(found[[1, 3]], unit(rest[worst])[0])
    assert found[[0, 2]].equal(vectors[[0, 2]])
    same = Problem().objective(_square(data), moments, found)
    assert same == pytest.approx(Problem().objective(_square(data), moments, vectors))
    dear = Problem(2.1 * float(rest.norm(dim=1).max()))
    assert revived(vectors, codes, moments, data, dear).equal(vectors)


def test_a_start_with_a_dead_concept_uses_all_in_the_end() -> None:
    data = planted(200, 16, 4)[0].double()
    data[:, 15] = 0
    start = torch.cat((data[:3], torch.eye(16)[15:].double()))
    factors = begin(data, _square(data), start, Problem(0.1))
    assert not bool(factors.codes[:, 3].any())
    done = alternate(data, _square(data), factors, Problem(0.1), tol=1e-7, max_iter=200)
    assert bool((done.codes > 0).any(dim=0).all())
    assert done.objective < factors.objective


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_what_is_reported_is_where_it_stands(penalty: float) -> None:
    data = falling(200, 12).double()
    problem = Problem(penalty)
    factors = begin(data, _square(data), data[:4], problem)
    done = alternate(data, _square(data), factors, problem, tol=1e-6, max_iter=30)
    direct = _square(data - done.codes @ done.vectors) + penalty * float(done.codes.sum())
    assert done.objective == pytest.approx(direct)
    assert float(done.codes.min()) >= 0
    torch.testing.assert_close(done.vectors.norm(dim=1), torch.ones(4).double())
    assert len(done.history) <= 31


def test_it_goes_on_where_it_stopped() -> None:
    data = falling(200, 12).double()
    factors = begin(data, _square(data), data[:4], Problem())
    assert isinstance(factors, Factors)
    some = alternate(data, _square(data), factors, Problem(), tol=0, max_iter=5)
    more = alternate(data, _square(data), some, Problem(), tol=0, max_iter=5)
    assert more.history[: len(some.history)] == some.history
    assert more.objective < some.objective
    assert not more.converged


def test_strides_grow_to_a_bound_and_fall_back() -> None:
    stride = Stride()
    for _ in range(100):
        stride = stride.longer()
    assert 0.9 < stride.length <= 1
    shorter = stride.shorter()
    assert shorter.length < stride.length
    assert shorter.most <= stride.most


def test_zero_vectors_have_no_direction() -> None:
    vectors, lengths = unit(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    assert vectors.tolist() == [[0.0, 0.0], [pytest.approx(0.6), pytest.approx(0.8)]]
    assert lengths.tolist() == [1.0, 5.0]
