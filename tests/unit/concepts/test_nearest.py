"""The nearest centre: exact distances decide, whatever stands beside a point."""

import pytest
import torch
from torch import Tensor

from shiftlens.concepts.encoders import Nearest
from shiftlens.concepts.nearest import distances_to, nearest
from shiftlens.concepts.space import Space


def _normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _by_products(points: Tensor, centres: Tensor) -> Tensor:
    return torch.addmm(centres.square().sum(dim=1) / 2, points, centres.T, alpha=-1).argmin(dim=1)


@pytest.mark.parametrize("mean", [0.0, 3e3])
@pytest.mark.parametrize("d", [2, 40, 600])
def test_it_is_the_nearest_in_float64(d: int, mean: float) -> None:
    points, centres = _normal(3000, d) + mean, _normal(9, d, seed=1) + mean
    exact = torch.cdist(points.double(), centres.double())
    found = exact.gather(1, nearest(points, centres)[:, None])[:, 0]
    # Within what counts as equal.
    assert bool((found <= exact.min(dim=1).values * (1 + 1e-6)).all())


def test_twin_products_alone_are_not() -> None:
    points, centres = _normal(3000, 40) + 3e3, _normal(9, 40, seed=1) + 3e3
    exact = torch.cdist(points.double(), centres.double()).argmin(dim=1)
    assert nearest(points, centres).equal(exact)
    assert not _by_products(points, centres).equal(exact)


def test_a_point_alone_has_the_centre_that_it_has_among_others() -> None:
    """Centres that are nearly one: rounding alone tells them apart."""
    points = _normal(400, 33)
    centres = _normal(1, 33, seed=1) + 1e-7 * _normal(6, 33, seed=2)
    together = nearest(points, centres)
    alone = torch.cat([nearest(points[row : row + 1], centres) for row in range(400)])
    assert together.equal(alone)
    products = torch.cat([_by_products(points[row : row + 1], centres) for row in range(400)])
    assert not _by_products(points, centres).equal(products), "the twin: products differ"


def test_of_equal_centres_the_first_is_taken() -> None:
    centres = _normal(3, 7)[[2, 0, 1, 0, 2]]
    points = torch.cat((_normal(60, 7, seed=3), centres))
    assert set(nearest(points, centres).tolist()) == {0, 1, 2}
    assert nearest(centres, centres).tolist() == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_row_of_zeros_is_as_near_to_all_on_the_sphere(seed: int) -> None:
    encoder, vectors = Nearest(space=Space("unit")), _normal(6, 50, seed) * 9
    zero = torch.zeros(1, 50)
    assert encoder.assign(zero, vectors).tolist() == [0]
    lengths = encoder.distances(zero, vectors)
    torch.testing.assert_close(lengths, torch.ones(1, 6))


def test_the_first_of_equals_is_not_always_the_least_distance() -> None:
    """What the last test guards against: some length rounds below the first one's."""
    zero, least = torch.zeros(1, 50), set[int]()
    for seed in range(5):
        centres = torch.nn.functional.normalize(_normal(6, 50, seed), dim=1)
        least.add(int(distances_to(zero, centres).argmin()))
    assert least != {0}


def test_one_centre_takes_all_and_no_points_have_none() -> None:
    assert nearest(_normal(5, 3), _normal(1, 3)).tolist() == [0] * 5
    assert Nearest().assign(torch.zeros(0, 3), _normal(4, 3)).shape == (0,)
