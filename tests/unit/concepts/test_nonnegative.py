"""Non-negative codes: optimal by their conditions, equal to scipy's and scikit-learn's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import Lasso
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import NO_CONCEPT
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.nonnegative import (
    NonNegative,
    UnfinishedCodes,
    nonnegative_codes,
    sweep,
    violations,
)
from shiftlens.concepts.space import Space
from shiftlens.core.errors import LearnError


def _problem(
    condition: float = 1.0, *, n: int = 40, d: int = 30, k: int = 8, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Rows (n, d) and concepts (k, d) whose singular values fall by the condition."""
    random = torch.Generator().manual_seed(seed)
    left, _, right = torch.linalg.svd(
        torch.randn(k, d, generator=random, dtype=torch.float64), full_matrices=False
    )
    falling = torch.logspace(0, -np.log10(condition), k, dtype=torch.float64)
    return torch.randn(n, d, generator=random, dtype=torch.float64), left * falling @ right


def _codes(rows: Tensor, concepts: Tensor, **options: float) -> Tensor:
    return nonnegative_codes(rows @ concepts.T, concepts @ concepts.T, **options)


def _values(rows: Tensor, concepts: Tensor, codes: Tensor, penalty: float = 0.0) -> Tensor:
    return (rows - codes @ concepts).square().sum(dim=1) + penalty * codes.sum(dim=1)


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e3])
def test_codes_are_those_of_scipy(condition: float) -> None:
    rows, concepts = _problem(condition)
    ours = _codes(rows, concepts, tol=1e-10)
    theirs = np.stack([nnls(concepts.T.numpy(), row.numpy())[0] for row in rows])
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-4, atol=1e-6 * condition)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 3.0])
def test_codes_are_those_of_the_lasso(penalty: float) -> None:
    """scikit-learn divides the squared error by 2 d: its alpha is penalty / (2 d)."""
    rows, concepts = _problem(5.0)
    ours = _codes(rows, concepts, penalty=penalty, tol=1e-12)
    lasso = Lasso(
        alpha=penalty / (2 * rows.shape[1]),
        fit_intercept=False,
        positive=True,
        tol=1e-12,
        max_iter=100_000,
    )
    theirs = np.stack([lasso.fit(concepts.T.numpy(), row.numpy()).coef_ for row in rows])
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e3])
def test_the_conditions_of_optimality_hold(condition: float, penalty: float) -> None:
    """Written out anew: v >= 0, gradient >= 0, and the gradient is 0 where v > 0."""
    rows, concepts = _problem(condition)
    codes = _codes(rows, concepts, penalty=penalty, tol=1e-10)
    gradient = 2 * (codes @ concepts - rows) @ concepts.T + penalty
    assert bool((codes >= 0).all())
    assert bool((codes > 0).any())
    assert float(gradient.min()) > -1e-6
    assert float((gradient * (codes > 0)).abs().max()) < 1e-6


def test_twin_clipped_least_squares_break_the_conditions() -> None:
    rows, concepts = _problem(10.0)
    clipped = torch.linalg.lstsq(concepts.T, rows.T).solution.T.clamp_min(0)
    found = violations(clipped, rows @ concepts.T, concepts @ concepts.T)
    assert float(found.max()) > 1e-2
    best = _codes(rows, concepts)
    assert bool((_values(rows, concepts, best) <= _values(rows, concepts, clipped)).all())


def test_violations_do_not_know_scales() -> None:
    rows, concepts = _problem(3.0)
    codes = sweep(torch.zeros(40, 8).double(), rows @ concepts.T, concepts @ concepts.T, times=1)
    usual = violations(codes, rows @ concepts.T, concepts @ concepts.T)
    rows, concepts, codes = rows * 1e4, concepts * 100, codes * 100
    torch.testing.assert_close(violations(codes, rows @ concepts.T, concepts @ concepts.T), usual)


def test_a_sweep_never_raises_the_objective() -> None:
    rows, concepts = _problem(100.0)
    products, gram = rows @ concepts.T, concepts @ concepts.T
    codes = torch.rand(40, 8, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(20):
        better = sweep(codes, products, gram, penalty=0.3, times=1)
        before, after = (_values(rows, concepts, one, 0.3) for one in (codes, better))
        assert bool((after <= before + 1e-12).all())
        codes = better


@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_a_row_is_coded_the_same_alone_from_elsewhere_and_beside_others(condition: float) -> None:
    rows, concepts = _problem(condition)
    together = _codes(rows, concepts)
    alone = torch.cat([_codes(row[None], concepts) for row in rows])
    torch.testing.assert_close(alone, together, rtol=1e-6, atol=1e-7 * condition)
    elsewhere = _codes(rows, concepts, start=together.flip(0), tol=1e-12)
    torch.testing.assert_close(elsewhere, together, rtol=1e-4, atol=1e-6 * condition)


def test_equal_and_empty_concepts_cost_nothing_but_uniqueness() -> None:
    rows, concepts = _problem()
    doubled = torch.cat((concepts, concepts[:3], torch.zeros(1, concepts.shape[1])))
    codes = _codes(rows, doubled.double(), tol=1e-10)
    assert bool(torch.isfinite(codes).all())
    assert not bool(codes[:, -1].any())
    torch.testing.assert_close(
        _values(rows, doubled.double(), codes), _values(rows, concepts, _codes(rows, concepts))
    )


def test_a_high_price_makes_all_codes_zero_and_such_rows_belong_to_nothing() -> None:
    rows, concepts = _problem()
    dear = 2.1 * float((rows @ concepts.T).max())
    encoder = NonNegative(penalty=dear)
    assert not bool(encoder.encode(rows.float(), concepts.float()).any())
    assert encoder.assign(rows.float(), concepts.float()).unique().tolist() == [NO_CONCEPT]
    assert NonNegative().assign(-concepts.float()[:1], concepts.float()[:1]).tolist() == [-1]
    assert NonNegative().assign(torch.zeros(2, 30), concepts.float()).tolist() == [-1, -1]


def test_no_rows_have_no_codes() -> None:
    _, concepts = _problem()
    assert NonNegative().encode(torch.zeros(0, 30), concepts.float()).shape == (0, 8)


def test_a_row_alone_is_coded_as_among_others_in_white() -> None:
    """Few rows, many times: the space stretches what they do not vary in a thousandfold."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 512, generator=random) * torch.linspace(0.5, 2, 512) + 20
    rows[:, 3] *= 300
    learned = SemiNMF(k=4, space="white", max_iter=60).fit(rows.repeat(50, 1))
    new = torch.randn(20, 512, generator=random) + 20
    space, vectors = learned.encoder.space, learned.vectors

    def apart(encode: Callable[[torch.Tensor], torch.Tensor]) -> float:
        codes = encode(new)
        alone = torch.cat([encode(new[row : row + 1]) for row in range(len(new))])
        return float(((codes - alone).abs().amax(dim=1) / codes.amax(dim=1)).max())

    def in_float32(states: torch.Tensor) -> torch.Tensor:
        concepts = space.directions_into(vectors).double()
        return nonnegative_codes(space.into(states).double() @ concepts.T, concepts @ concepts.T)

    assert apart(learned.encode) < 3e-7
    assert apart(in_float32) > 1e-6, "the twin: float32 in the space is not enough"


def test_reconstruction_goes_through_the_space() -> None:
    random = torch.Generator().manual_seed(0)
    mean, scale = torch.randn(6, generator=random) * 5, torch.rand(6, generator=random) + 0.5
    space = Space("standard", mean, scale=scale)
    concepts = torch.randn(3, 6, generator=random)
    amounts = torch.rand(10, 3, generator=random)
    rows = amounts @ concepts + mean
    encoder = NonNegative(space=space)
    codes = encoder.encode(rows, concepts)
    torch.testing.assert_close(codes, amounts, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(encoder.reconstruct(codes, concepts), rows, rtol=1e-4, atol=1e-4)
    raw = NonNegative().encode(rows, concepts)
    assert not torch.allclose(raw, amounts, atol=1e-1)


def test_half_precision_rows_are_coded_in_double() -> None:
    rows, concepts = (tensor.half() for tensor in _problem())
    codes = NonNegative().encode(rows, concepts.float())
    assert codes.dtype == torch.float32
    torch.testing.assert_close(codes.double(), _codes(rows.double(), concepts.double()))


def test_it_is_saved_and_found_again(tmp_path: Path) -> None:
    encoder = NonNegative(penalty=0.5, tol=1e-6, max_iter=50, space=Space("centred", torch.ones(3)))
    concepts = Concepts(torch.eye(3), "direction", Site(0), (1, 1, 1), encoder=encoder)
    concepts.save(tmp_path / "concepts")
    again = Concepts.load(tmp_path / "concepts")
    assert again.encoder.describe() == encoder.describe()
    states = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert again.encode(states).equal(concepts.encode(states))
    plain = NonNegative().encode(states, torch.eye(3))
    assert not plain.equal(concepts.encode(states))


def test_codes_that_are_not_done_are_said_to_be() -> None:
    rows, concepts = _problem(1e3)
    with pytest.warns(UnfinishedCodes, match="after 1 sweeps: raise max_iter or tol"):
        NonNegative(max_iter=1).encode(rows.float(), concepts.float())


@pytest.mark.parametrize("bad", [{"penalty": -1.0}, {"penalty": float("nan")}, {"tol": -1e-9}])
def test_options_that_make_no_sense(bad: dict[str, float]) -> None:
    with pytest.raises(LearnError, match=f"{next(iter(bad))}=.*\n.*positive number"):
        NonNegative(**bad)
    with pytest.raises(LearnError, match="max_iter=0"):
        NonNegative(max_iter=0)
