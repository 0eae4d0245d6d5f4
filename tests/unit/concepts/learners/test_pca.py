"""PCA: the singular value decomposition, in pieces as in memory, whatever the shape."""

import numpy as np
import pytest
import torch
from tests.unit.concepts.learners.factor_rows import PiecewiseRows, falling, golden, planted
from torch import Tensor

from shiftlens.concepts.learners import pca
from shiftlens.concepts.learners.learner import learners
from shiftlens.concepts.learners.pca import PCA, leading
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.core.errors import LearnError


def _signed(vectors: Tensor) -> Tensor:
    largest = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * vectors.gather(1, largest).sign()


def _oracle(states: Tensor, k: int, *, centred: bool = True) -> tuple[Tensor, np.ndarray]:
    rows = states.double().numpy()
    rows = rows - rows.mean(axis=0) if centred else rows
    _, singular, right = np.linalg.svd(rows, full_matrices=False)
    return _signed(torch.from_numpy(right[:k])), singular**2 / len(rows)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("mean", [0.0, 100.0])
@pytest.mark.parametrize(("n", "d"), [(300, 20), (20, 300), (60, 60)])
def test_it_is_the_svd_of_numpy(n: int, d: int, mean: float, centred: bool) -> None:
    states = falling(n, d, mean=mean)
    found = PCA(k=5, centred=centred).fit(states)
    directions, variances = _oracle(states, 5, centred=centred)
    torch.testing.assert_close(found.vectors.double(), directions, rtol=0, atol=1e-5)
    assert found.report["explained_variance"] == pytest.approx(variances[:5], rel=1e-6)
    shares = variances[:5] / variances.sum()
    assert found.report["explained_share"] == pytest.approx(shares, rel=1e-6)
    assert found.report["objective"] == pytest.approx(n * variances[5:].sum(), rel=1e-5)


@pytest.mark.parametrize("case", ["planted", "falling", "far"])
def test_golden_directions(case: str) -> None:
    known = golden()[case]
    found = PCA(k=known["k"]).fit(torch.tensor(known["states"]))
    expected = _signed(torch.tensor(known["directions"]))
    torch.testing.assert_close(found.vectors, expected, rtol=0, atol=1e-5)
    assert found.report["explained_variance"] == pytest.approx(known["variances"], rel=1e-6)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("n", "d"), [(300, 20), (20, 300)])
def test_rows_in_pieces_give_what_rows_in_memory_give(
    n: int, d: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64 products to 1e-6, in float32 products, which large fits use, to 1e-4."""
    monkeypatch.setattr(pca, "_EXACT_WORK", 2**34 if exact else 0)
    states = falling(n, d, mean=3.0)
    whole, pieces = PCA(k=5).fit(states), PCA(k=5).fit(PiecewiseRows(states, 7))
    atol = 1e-6 if exact else 1e-4
    torch.testing.assert_close(pieces.vectors, whole.vectors, rtol=0, atol=atol)
    torch.testing.assert_close(whole.vectors.double(), _oracle(states, 5)[0], rtol=0, atol=atol)


def test_no_other_directions_leave_less() -> None:
    states, _ = planted()
    found = PCA(k=5, centred=False).fit(states)
    rest = states - found.encoder.reconstruct(found.encode(states), found.vectors)
    assert found.report["objective"] == pytest.approx(float(rest.square().sum()), rel=1e-4)
    assert found.report["objective"] <= SemiNMF(k=5).fit(states).report["objective"]


def test_codes_give_rows_back_and_the_signs_are_stated() -> None:
    states = falling(50, 6, mean=5.0)
    found = PCA(k=6).fit(states)
    again = found.encoder.reconstruct(found.encode(states), found.vectors)
    torch.testing.assert_close(again, states, rtol=1e-4, atol=1e-4)
    largest = found.vectors.gather(1, found.vectors.abs().argmax(dim=1, keepdim=True))
    assert bool((largest > 0).all())
    assert PCA(k=6).fit(-states).vectors.allclose(found.vectors, atol=1e-5)


def test_whitened_codes_have_unit_variance_and_go_back() -> None:
    states = falling(200, 8, mean=5.0)
    found = PCA(k=8, whiten=True).fit(states)
    codes = found.encode(states)
    torch.testing.assert_close(codes.T @ codes / 200, torch.eye(8), rtol=0, atol=1e-3)
    again = found.encoder.reconstruct(codes, found.vectors)
    torch.testing.assert_close(again, states, rtol=1e-4, atol=1e-4)
    plain = PCA(k=8).fit(states).encode(states)
    assert not torch.allclose(plain.T @ plain / 200, torch.eye(8), atol=0.1)


def test_fewer_rows_than_dimensions_are_whitened_as_well() -> None:
    few = falling(6, 20, mean=5.0)
    found = PCA(k=3, whiten=True).fit(few)
    torch.testing.assert_close(found.vectors.double(), _oracle(few, 3)[0], rtol=0, atol=1e-5)
    spread = found.encode(few).var(dim=0, correction=0)
    torch.testing.assert_close(spread, torch.ones(3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("n", "d", "k"), [(30, 8, 7), (5, 12, 5)])
def test_directions_without_variance_are_orthonormal_and_told(n: int, d: int, k: int) -> None:
    random = torch.Generator().manual_seed(0)
    states = torch.randn(n, 3, generator=random) @ torch.randn(3, d, generator=random)
    found = PCA(k=k).fit(states)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(k), rtol=0, atol=1e-5)
    assert found.report["rank"] == 3
    assert found.report["explained_variance"][3:] == [0.0] * (k - 3)
    assert found.report["relative_error"] == pytest.approx(0, abs=1e-4)
    with pytest.raises(LearnError, match=f"cannot whiten {k} directions: .* vary in 3 only"):
        PCA(k=k, whiten=True).fit(states)


def test_large_matrices_are_decomposed_as_exactly() -> None:
    """Past the size where a whole decomposition is used; equal values have a plane only."""
    size, k = 1100, 6
    random = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(size, size, generator=random, dtype=torch.float64)).Q
    values = 1 / torch.arange(1, size + 1, dtype=torch.float64)
    values[2] = values[1]
    found, vectors = leading(turn * values @ turn.T, k)
    torch.testing.assert_close(found, values[:k], rtol=1e-10, atol=0)
    ours, truth = vectors @ vectors.T, turn[:, :k] @ turn[:, :k].T
    torch.testing.assert_close(ours, truth, rtol=0, atol=1e-7)
    few = torch.zeros(size, dtype=torch.float64)
    few[:3] = torch.tensor([3.0, 2.0, 1.0])
    found, vectors = leading(turn * few @ turn.T, k)
    torch.testing.assert_close(found, few[:k], rtol=0, atol=1e-12)
    assert bool(torch.isfinite(vectors).all())


def test_same_bits_and_the_seed_decides_nothing() -> None:
    states = falling(100, 10)
    one, other = PCA(k=3, seed=1).fit(states), PCA(k=3, seed=2).fit(states)
    assert one.vectors.equal(other.vectors)
    assert one.report == other.report


def test_bad_input() -> None:
    with pytest.raises(LearnError, match="cannot find 5 directions among 4 dimensions"):
        PCA(k=5).fit(falling(10, 4))
    with pytest.raises(LearnError, match="all rows are equal"):
        PCA(k=1).fit(torch.ones(4, 3))
    with pytest.raises(LearnError, match="every row is zero"):
        PCA(k=1, centred=False).fit(torch.zeros(4, 3))
    alone = PCA(k=1, centred=False).fit(torch.tensor([[3.0, -4.0]]))
    torch.testing.assert_close(alone.vectors, torch.tensor([[-0.6, 0.8]]))
    assert learners.get("pca") is PCA


def test_a_constant_column_is_in_no_direction() -> None:
    states = falling(100, 5)
    states[:, 2] = 7.0
    found = PCA(k=4).fit(states)
    assert float(found.vectors[:, 2].abs().max()) < 1e-6
