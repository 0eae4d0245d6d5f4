"""Which concept is which: nearest, and one to one."""

import inspect
import itertools

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from shiftlens.core.errors import GroundingError, MismatchError
from shiftlens.shift.matching import bijective, nearest, similarity
from shiftlens.shift.overlap import mean_overlap, t_overlap


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _total(table: torch.Tensor, partners: list[int]) -> float:
    return float(sum(table[i, j] for i, j in enumerate(partners)))


@pytest.mark.parametrize("seed", range(5))
def test_bijective_is_the_best_of_all_assignments(seed: int) -> None:
    a, b = _random(6, 4, seed=seed), _random(6, 4, seed=seed + 100)
    table = similarity(a, b)
    best = max(_total(table, list(one)) for one in itertools.permutations(range(6)))
    assert _total(table, bijective(a, b)) == pytest.approx(best, abs=1e-5)


def test_bijective_is_scipy_s_optimum() -> None:
    a, b = _random(40, 16), _random(40, 16, seed=1)
    rows, columns = linear_sum_assignment(similarity(a, b).numpy(), maximize=True)
    found = bijective(a, b)
    assert sorted(found) == list(range(40))
    assert _total(similarity(a, b), found) == pytest.approx(
        float(similarity(a, b)[rows, columns].sum()), abs=1e-4
    )


def test_nearest_is_at_least_as_similar_and_may_share() -> None:
    a, b = _random(20, 4), _random(20, 4, seed=1)
    table = similarity(a, b)
    loose, strict = nearest(a, b), bijective(a, b)
    for i in range(20):
        assert float(table[i, loose[i]]) == pytest.approx(float(table[i].max()))
    assert _total(table, loose) > _total(table, strict)
    assert len(set(loose)) < 20 == len(set(strict))


def test_greedy_is_not_good_enough() -> None:
    """Twin: each in turn taking the best that is left loses."""
    a = torch.tensor([[1.0, 0.1], [1.0, 0.0]])
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    table = similarity(a, b)
    assert bijective(a, b) == [1, 0]
    assert _total(table, [0, 1]) < _total(table, [1, 0])


def test_length_does_not_count() -> None:
    a, b = _random(8, 4), _random(8, 4, seed=1)
    torch.testing.assert_close(similarity(a, b), similarity(a * 7.0, b * 0.1))


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(MismatchError, match="3 concepts cannot be paired one to one with 4"):
        bijective(_random(3, 4), _random(4, 4))
    # Unwrapped: in tests, and only there, the shapes are checked before the function runs.
    with pytest.raises(MismatchError, match="width 4 cannot be matched with width 5"):
        inspect.unwrap(similarity)(_random(3, 4), _random(3, 5))


def test_nearest_works_between_different_numbers_of_concepts() -> None:
    a, b = _random(3, 4), _random(7, 4, seed=1)
    assert nearest(a, b) == similarity(a, b).argmax(dim=1).tolist()
    assert len(nearest(b, a)) == 7


def test_overlap_is_the_share_of_the_first_one_s_words() -> None:
    assert t_overlap(("dog", "cat", "bus", "man"), ("cat", "dog")) == 0.5
    assert t_overlap(("cat", "dog"), ("dog", "cat", "bus", "man")) == 1.0
    assert t_overlap(("dog",), ()) == 0.0
    assert mean_overlap([("dog",), ("cat", "bus")], [("dog",), ("bus",)]) == 0.75
    with pytest.raises(GroundingError, match="without words"):
        t_overlap((), ("dog",))
