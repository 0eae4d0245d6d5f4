"""Running covariances: the same in any pieces; classes; roots; shrinkage against scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.covariance import oas
from tests.builders import build_store

from shiftlens.core.errors import SteeringError
from shiftlens.steering.covariance import Covariance, classes_of, roots, shrinkage_for

D = 7


def _rows(n: int = 301, offset: float = 1e3) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(n, D, generator=random).double() * 3 + offset


def _in_pieces(rows: torch.Tensor, size: int) -> Covariance:
    whole = Covariance(D)
    for piece in rows.split(size):
        whole.update(piece)
    return whole


@pytest.mark.parametrize("size", [1, 13, 300])
def test_pieces_do_not_matter(size: int) -> None:
    rows = _rows()
    one, many = _in_pieces(rows, 301), _in_pieces(rows, size)
    torch.testing.assert_close(many.matrix, one.matrix, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(many.mean, one.mean, atol=1e-10, rtol=1e-12)
    assert many.state_norm == pytest.approx(float(rows.norm(dim=1).mean()), rel=1e-12)
    assert many.n == 301


def test_merging_is_seeing_both_in_any_order() -> None:
    rows = _rows()
    one = _in_pieces(rows, 301)
    for first, second in ((rows[:40], rows[40:]), (rows[40:], rows[:40])):
        left, right = _in_pieces(first, 9), _in_pieces(second, 50)
        left.merge(right)
        left.merge(Covariance(D))  # one that has seen nothing
        torch.testing.assert_close(left.matrix, one.matrix, atol=1e-10, rtol=1e-10)
        assert left.state_norm == pytest.approx(one.state_norm, rel=1e-12)
    empty = Covariance(D)
    empty.merge(one)
    assert empty.matrix.equal(one.matrix)


def test_what_does_not_fit_is_refused() -> None:
    covariance = Covariance(D)
    covariance.update(_rows(0))
    with pytest.raises(SteeringError, match=r"states of shape \(2, 8\)\n  \(n, 7\)"):
        covariance.update(torch.zeros(2, D + 1))
    with pytest.raises(SteeringError, match="not finite"):
        covariance.update(torch.full((2, D), float("nan")))
    with pytest.raises(SteeringError, match="widths 7 and 8"):
        covariance.merge(Covariance(D + 1))
    covariance.update(_rows(1))
    with pytest.raises(SteeringError, match="1 rows have no covariance"):
        _ = covariance.matrix


def test_classes_have_their_means_and_cross_covariance(tmp_path: Path) -> None:
    states = _rows(60, 5.0).float()
    labels = ["b", "a", "a"] * 20
    classes = classes_of(build_store(tmp_path / "s", states, shards=4), labels)
    assert (classes.names, classes.counts) == (("b", "a"), (20, 40))
    chosen = torch.tensor([one == "a" for one in labels])
    torch.testing.assert_close(classes.means[1], states[chosen].double().mean(dim=0))
    ones = torch.stack([~chosen, chosen], dim=1).double()
    centred = states.double() - states.double().mean(dim=0)
    torch.testing.assert_close(classes.cross, centred.T @ (ones - ones.mean(dim=0)) / 60)


@pytest.mark.parametrize("label", [float("nan"), ["dog"]])
def test_a_label_that_is_no_class_is_refused(tmp_path: Path, label: Any) -> None:
    store = build_store(tmp_path / "s", _rows(20).float())
    with pytest.raises(SteeringError, match=r"sample 's3' has the label [\s\S]*whole numbers"):
        classes_of(store, lambda row: label if row.sample_id == "s3" else "dog")


@pytest.mark.parametrize("n", [30, 100, 900])
def test_shrinkage_is_scikit_learns(n: int) -> None:
    """Scikit-learn leaves out two terms that vanish with the width; the paper has them."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((n, 200)) * np.linspace(1, 9, 200)
    covariance, share = oas(rows)
    found = Covariance(200)
    found.update(torch.from_numpy(rows))
    assert shrinkage_for(found.matrix, n) == pytest.approx(share, rel=0.01)
    assert 0.05 < share < 0.95
    root, _ = roots(found.matrix, share)
    torch.testing.assert_close(root @ root, torch.from_numpy(covariance))


def test_a_sphere_is_drawn_all_the_way() -> None:
    assert shrinkage_for(torch.eye(D).double(), 10) == 1
    assert shrinkage_for(torch.eye(D).double(), 10**9) <= 1


def test_roots_where_something_does_not_vary() -> None:
    rows = _rows(50, 0.0)
    rows[:, 5] = 0
    covariance = rows.T @ rows / 50
    root, inverse = roots(covariance)
    torch.testing.assert_close(root @ root, covariance)
    expected = torch.eye(D, dtype=torch.float64)
    expected[5, 5] = 0
    torch.testing.assert_close(root @ inverse, expected)
    with pytest.raises(SteeringError, match="do not vary at all"):
        roots(torch.zeros(D, D).double())
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(SteeringError, match="a shrinkage of"):
            roots(covariance, share)
