"""Non-negative codes: optimal by their conditions, and by programs that are not ours."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import Lasso

from shiftlens.concepts.encoders import NO_CONCEPT, restored
from shiftlens.concepts.nonnegative import NonNegative, nonnegative_codes, violations


def _problem(n: int, k: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    vectors = torch.randn(k, d, generator=random, dtype=torch.float64)
    return torch.randn(n, d, generator=random, dtype=torch.float64), vectors


@pytest.mark.parametrize(("k", "d"), [(1, 3), (4, 10), (12, 5)])
def test_without_a_penalty_they_are_least_squares_of_scipy(k: int, d: int) -> None:
    states, vectors = _problem(40, k, d)
    codes = nonnegative_codes(states @ vectors.T, vectors @ vectors.T)
    for row, mine in zip(states.numpy(), codes.numpy(), strict=True):
        _, rest = nnls(vectors.numpy().T, row)
        assert np.linalg.norm(row - mine @ vectors.numpy()) == pytest.approx(rest, abs=1e-6)


@pytest.mark.parametrize("penalty", [0.5, 4.0])
def test_with_a_penalty_they_are_those_of_scikit_learn(penalty: float) -> None:
    states, vectors = _problem(30, 6, 15, seed=1)
    codes = nonnegative_codes(states @ vectors.T, vectors @ vectors.T, penalty=penalty)
    # scikit-learn divides the squared error by twice the number of values.
    lasso = Lasso(
        alpha=penalty / (2 * 15), positive=True, fit_intercept=False, tol=1e-12, max_iter=100_000
    )
    for row, mine in zip(states.numpy(), codes.numpy(), strict=True):
        np.testing.assert_allclose(mine, lasso.fit(vectors.numpy().T, row).coef_, atol=1e-5)


def test_the_conditions_hold_and_twin_codes_violate_them() -> None:
    states, vectors = _problem(100, 8, 12, seed=2)
    products, gram = states @ vectors.T, vectors @ vectors.T
    codes = nonnegative_codes(products, gram, penalty=1.0)
    assert float(violations(codes, products, gram, penalty=1.0).max()) <= 1e-8
    moved = codes + 0.1 * (codes > 0)
    assert float(violations(moved, products, gram, penalty=1.0).max()) > 1e-3
    assert float(violations(codes, products, gram, penalty=3.0).max()) > 1e-3


def test_a_concept_of_length_zero_and_equal_concepts_do_no_harm() -> None:
    states, vectors = _problem(20, 3, 6, seed=3)
    double = torch.cat((vectors, vectors[:1], torch.zeros(1, 6, dtype=torch.float64)))
    codes = nonnegative_codes(states @ double.T, double @ double.T)
    alone = nonnegative_codes(states @ vectors.T, vectors @ vectors.T)
    assert bool((codes[:, 4] == 0).all())
    torch.testing.assert_close(codes @ double, alone @ vectors, atol=1e-6, rtol=1e-6)


def test_rows_that_no_concept_points_to_belong_to_none() -> None:
    vectors = torch.eye(3)[:2]
    states = torch.tensor([[2.0, 1.0, 5.0], [-1.0, -2.0, 9.0], [0.0, 0.0, 0.0]])
    encoder = NonNegative()
    codes = encoder.encode(states, vectors)
    assert codes.tolist() == [[2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    assert encoder.assign(states, vectors).tolist() == [0, NO_CONCEPT, NO_CONCEPT]
    priced = NonNegative(penalty=3.0).encode(states, vectors)
    assert priced.tolist()[0] == [0.5, 0.0], "each code pays half of the price"


def test_a_row_alone_and_a_saved_encoder_give_the_same() -> None:
    states, vectors = (one.float() for one in _problem(50, 6, 9, seed=4))
    encoder = NonNegative(penalty=0.7)
    codes = encoder.encode(states, vectors)
    alone = torch.cat([encoder.encode(states[i : i + 1], vectors) for i in range(50)])
    torch.testing.assert_close(codes, alone, atol=1e-6, rtol=1e-6)
    again = restored(encoder.describe(), encoder.tensors())
    assert again.encode(states, vectors).equal(codes)
