"""The pointing game and the overlap, against counting by hand, and beside chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shiftlens.concepts.grounding.heat_map import HeatMap, laid_out
from shiftlens.concepts.grounding.localising import (
    overlap_by_chance,
    overlap_of,
    pointing_by_chance,
    pointing_game,
)
from shiftlens.core.errors import GroundingError

NAN = float("nan")


def _map(patches: np.ndarray, side: int = 4) -> HeatMap:
    rows, cols = patches.shape
    edges = (tuple(side * at for at in range(cols + 1)), tuple(side * at for at in range(rows + 1)))
    lines = (tuple(map(float, edges[0])), tuple(map(float, edges[1])))
    return laid_out("s", 0, patches, 0, lines, (side * cols, side * rows), "projection")


def _heat(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_the_hottest_pixel_decides() -> None:
    mask = np.array([[True, False], [False, False]])
    assert pointing_game(_heat([[2, 1], [0, 1]]), mask) == 1
    assert pointing_game(_heat([[1, 2], [0, 1]]), mask) == 0


def test_ties_count_by_their_share() -> None:
    mask = np.array([[True, False], [True, True]])
    assert pointing_game(_heat([[5, 5], [5, 1]]), mask) == pytest.approx(2 / 3)
    assert (
        pointing_game(_heat([[1, 1], [1, 1]]), mask)
        == 3 / 4
        == pointing_by_chance(_heat([[1, 1], [1, 1]]), mask)
    )


def test_what_is_not_seen_never_counts() -> None:
    heat, mask = _heat([[NAN, 1], [0, 2]]), np.array([[True, True], [False, False]])
    assert pointing_game(heat, mask) == 0
    assert pointing_by_chance(heat, mask) == pytest.approx(1 / 3)
    # One pixel of the thing can be seen; the hottest one is another.
    assert overlap_of(heat, mask) == 0
    assert overlap_of(_heat([[NAN, 3], [0, 2]]), mask) == 1


def test_overlap_by_hand() -> None:
    mask = np.array([[True, True, False, False]])
    assert overlap_of(_heat([[3, 2, 1, 0]]), mask) == 1
    assert overlap_of(_heat([[0, 1, 2, 3]]), mask) == 0
    assert overlap_of(_heat([[3, 1, 2, 0]]), mask) == pytest.approx(1 / 3)
    # One is certain, three tie for the last place: it is the thing's once in three.
    shared = 1 + 1 / 3
    assert overlap_of(_heat([[3, 1, 1, 1]]), mask) == pytest.approx(shared / (4 - shared))


@given(
    arrays(np.float32, (4, 5), elements=st.integers(-3, 3).map(float)),
    arrays(np.bool_, (4, 5)),
)
def test_only_the_order_of_heat_matters(heat: np.ndarray, mask: np.ndarray) -> None:
    if not mask.any():
        return
    for measure in (pointing_game, overlap_of):
        value = measure(heat, mask)
        assert 0 <= value <= 1
        assert measure(heat * 7 + 100, mask) == pytest.approx(value)
        assert measure(np.exp(heat), mask) == pytest.approx(value)
    assert pointing_game(mask.astype(np.float32), mask) == 1
    assert overlap_of(mask.astype(np.float32), mask) == 1
    # Twin: turned round, it points elsewhere.
    if not mask.all():
        assert pointing_game(-mask.astype(np.float32), mask) == 0


def test_chance_is_what_random_maps_score() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros((16, 16), dtype=bool)
    mask[:6, 3:12] = True
    maps = [_map(random.random((4, 4), dtype=np.float32)) for _ in range(1500)]
    hits = np.array([pointing_game(one.values, mask) for one in maps])
    shares = np.array([overlap_of(one.values, mask) for one in maps])
    error = [3 * values.std() / len(values) ** 0.5 for values in (hits, shares)]
    assert hits.mean() == pytest.approx(pointing_by_chance(maps[0].values, mask), abs=error[0])
    assert shares.mean() == pytest.approx(
        overlap_by_chance(maps[0], mask, n_draws=800), abs=2 * error[1]
    )


def test_chance_is_seeded_and_knows_nothing_of_the_map() -> None:
    random, mask = np.random.default_rng(0), np.eye(12, dtype=bool)
    one, other = (_map(random.random((3, 3), dtype=np.float32)) for _ in range(2))
    assert overlap_by_chance(one, mask, seed=3) == overlap_by_chance(other, mask, seed=3)
    assert overlap_by_chance(one, mask, seed=3) != overlap_by_chance(one, mask, seed=4)


@pytest.mark.parametrize(
    ("heat", "mask", "problem"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), dtype=bool), r"shape \(2, 3\) and a mask of shape \(3"),
        (np.zeros((2, 2)), np.zeros((2, 2), dtype=bool), "no pixel of the thing"),
        (_heat([[NAN, 1.0]]), np.array([[True, False]]), "no pixel of the thing"),
        (_heat([[NAN, NAN]]), np.array([[True, False]]), "no pixel of the thing"),
        (_heat([[np.inf, 1.0]]), np.array([[True, False]]), "infinite heat"),
    ],
)
def test_what_cannot_be_judged_is_refused(heat: np.ndarray, mask: np.ndarray, problem: str) -> None:
    for measure in (pointing_game, overlap_of, pointing_by_chance):
        with pytest.raises(GroundingError, match=problem):
            measure(heat.astype(np.float32), mask)


def test_no_random_maps_is_refused() -> None:
    with pytest.raises(GroundingError, match="0 random maps"):
        overlap_by_chance(_map(np.ones((2, 2), dtype=np.float32)), np.eye(8, dtype=bool), n_draws=0)
