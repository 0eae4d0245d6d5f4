"""Semi-NMF, sparse coding and PCA beside formulas and programs that are not ours.

``tests/golden/make_factors.py`` made the numbers that they are held to.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftlens.concepts.learners.learner import Learned
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.core.errors import LearnError

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "factors.json").read_text())
CASES = sorted(GOLDEN)


def _case(name: str) -> tuple[torch.Tensor, dict[str, Any]]:
    return torch.tensor(GOLDEN[name]["states"]), GOLDEN[name]


def _objective(states: torch.Tensor, learned: Learned, penalty: float) -> float:
    """Squared error and price of the codes, from the outcome alone."""
    codes = learned.encode(states).double()
    rest = states.double() - codes @ learned.vectors.double()
    return float(rest.square().sum() + penalty * codes.sum())


@pytest.mark.parametrize("name", CASES)
def test_semi_nmf_is_at_least_as_good_as_long_multiplicative_updates(name: str) -> None:
    states, golden = _case(name)
    learned = SemiNMF(k=golden["k"], n_starts=8).fit(states)
    mine = _objective(states, learned, 0.0)
    assert mine <= golden["multiplicative"] * (1 + 1e-3)
    assert learned.report["objective"] == pytest.approx(mine, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_sparse_coding_is_at_least_as_good_as_scikit_learn(name: str) -> None:
    """In its convention: half the squared error, and alpha times the codes."""
    states, golden = _case(name)
    learner = SparseCoding(k=golden["k"], penalty=golden["alpha"], halved=True, n_starts=8)
    learned = learner.fit(states)
    assert bool((learned.vectors.norm(dim=1) <= 1 + 1e-5).all())
    mine = _objective(states, learned, 2 * golden["alpha"]) / 2
    assert mine <= golden["dictionary_learning"] * (1 + 1e-3)
    assert learned.report["objective"] == pytest.approx(mine, rel=1e-4)


def test_the_two_conventions_are_one_problem_and_twin_penalties_are_not() -> None:
    states, _ = _case("planted")
    halved = SparseCoding(k=4, penalty=0.5, halved=True).fit(states)
    whole = SparseCoding(k=4, penalty=1.0).fit(states)
    assert halved.vectors.equal(whole.vectors)
    assert halved.report["objective"] == pytest.approx(whole.report["objective"] / 2)
    assert not SparseCoding(k=4, penalty=0.5).fit(states).vectors.equal(whole.vectors)


def test_a_higher_price_makes_fewer_codes() -> None:
    states, _ = _case("planted")
    shares = [
        float((SparseCoding(k=6, penalty=one).fit(states).encode(states) > 0).float().mean())
        for one in (0.01, 0.5, 2.0)
    ]
    assert shares[0] > shares[1] > shares[2]


def test_planted_parts_are_found_and_twin_noise_has_none() -> None:
    random = torch.Generator().manual_seed(0)
    parts = torch.nn.functional.normalize(torch.randn(5, 30, generator=random), dim=1)
    amounts = torch.rand(300, 5, generator=random) * (torch.rand(300, 5, generator=random) < 0.4)
    states = 3 * amounts @ parts + 0.02 * torch.randn(300, 30, generator=random)
    noise = states[:, torch.randperm(30, generator=random)]
    found = SparseCoding(k=5, penalty=0.1, n_starts=4).fit(states).vectors
    assert float((found @ parts.T).max(dim=0).values.min()) > 0.97
    other = SparseCoding(k=5, penalty=0.1, n_starts=4).fit(noise).vectors
    assert float((other @ parts.T).max(dim=0).values.min()) < 0.9


@pytest.mark.parametrize("name", CASES)
def test_pca_is_the_singular_value_decomposition(name: str) -> None:
    states, golden = _case(name)
    learned = PCA(k=golden["k"]).fit(states)
    expected = np.asarray(golden["directions"])
    cosines = np.abs((learned.vectors.double().numpy() * expected).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    np.testing.assert_allclose(
        learned.encode(states).var(dim=0, correction=0).numpy(), golden["variances"], rtol=1e-4
    )


def test_pca_of_fewer_rows_than_dimensions_whitened_and_uncentred() -> None:
    states, _ = _case("far")
    few = states[:6]
    rows = few.double() - few.double().mean(dim=0)
    directions = np.linalg.svd(rows.numpy(), full_matrices=False)[2]
    learned = PCA(k=3, whiten=True).fit(few)
    cosines = np.abs((learned.vectors.double().numpy() * directions[:3]).sum(axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    spread = learned.encode(few).var(dim=0, correction=0)
    torch.testing.assert_close(spread, torch.ones(3), atol=1e-4, rtol=1e-4)
    plain = PCA(k=1, centred=False).fit(states).vectors[0]
    first = np.linalg.svd(states.double().numpy(), full_matrices=False)[2][0]
    assert abs(float(plain.double() @ torch.from_numpy(first))) == pytest.approx(1, abs=1e-5)


def test_pca_says_what_it_cannot_find() -> None:
    states, _ = _case("planted")
    with pytest.raises(LearnError, match="13 directions among 12 dimensions"):
        PCA(k=13).fit(states)
    line = torch.outer(torch.arange(10.0), torch.ones(4))
    with pytest.raises(LearnError, match="cannot whiten 2 directions: the rows vary in 1 only"):
        PCA(k=2, whiten=True).fit(line)
    found = PCA(k=2).fit(line)
    assert found.report["rank"] == 1
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(2))


def test_more_passes_never_end_worse() -> None:
    """Read in small chunks the objective of the passes falls, or the fit would stop before."""
    states, _ = _case("falling")
    history = SemiNMF(k=4).fit(states).report["history"]
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(history))
