"""Baselines: what they choose, and that learned concepts beat them."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.learners.baselines import LargestNorm, RandomDirections, RandomSamples
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.rows import StoreRows


def _states(n: int = 200, d: int = 8, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(5, d, generator=random) * 2
    labels = torch.randint(5, (n,), generator=random)
    return centres[labels] + torch.randn(n, d, generator=random)


def _objective(states: torch.Tensor, vectors: torch.Tensor) -> float:
    return float(torch.cdist(states.double(), vectors.double()).min(dim=1).values.square().sum())


def test_random_samples_are_different_rows_and_worse_than_learned() -> None:
    states = _states()
    found = RandomSamples(k=5, seed=1).fit(states)
    assert all(bool((states == row).all(dim=1).any()) for row in found.vectors)
    assert len(found.vectors.unique(dim=0)) == 5
    assert found.kind == "centroid"
    learned = KMeans(k=5).fit(states).vectors
    assert _objective(states, found.vectors) > _objective(states, learned)


def test_every_row_is_drawn_as_often_as_any_other() -> None:
    states = torch.arange(10.0)[:, None].repeat(1, 2)
    drawn = torch.zeros(10)
    for seed in range(200):
        drawn[RandomSamples(k=3, seed=seed).fit(states).vectors[:, 0].long()] += 1
    expected, spread = 200 * 0.3, (200 * 0.3 * 0.7) ** 0.5
    assert float((drawn - expected).abs().max()) < 4 * spread


def test_random_directions_are_evenly_drawn_and_of_length_one() -> None:
    found = RandomDirections(k=2000, seed=0).fit(_states(2000, 6))
    assert found.kind == RandomDirections.kind == "direction"
    torch.testing.assert_close(found.vectors.norm(dim=1), torch.ones(2000))
    second = found.vectors.T @ found.vectors / 2000
    torch.testing.assert_close(second, torch.eye(6) / 6, rtol=0, atol=0.02)
    torch.testing.assert_close(found.vectors.mean(dim=0), torch.zeros(6), rtol=0, atol=0.05)


def test_random_directions_do_not_depend_on_the_rows() -> None:
    one, other = (RandomDirections(k=4, seed=3).fit(_states(seed=s)) for s in (0, 1))
    assert one.vectors.equal(other.vectors)
    assert not RandomDirections(k=4, seed=4).fit(_states()).vectors.equal(one.vectors)


def test_directions_of_a_space_are_encoded_in_it() -> None:
    """As drawn: the codes are products with standard rows, whatever a dimension's size was."""
    states = _states() * torch.logspace(0, 3, 8) + 5
    drawn = RandomDirections(k=3, seed=3).fit(states).vectors
    found = RandomDirections(k=3, seed=3, space="standard").fit(states)
    standard = (states - states.mean(dim=0)) / states.std(dim=0, correction=0)
    torch.testing.assert_close(found.encode(states), standard @ drawn.T, rtol=1e-3, atol=1e-3)
    plain = states @ torch.nn.functional.normalize(found.vectors, dim=1).T
    assert not torch.allclose(found.encode(states), plain, atol=1.0), "the twin: without the space"
    again = found.encoder.reconstruct(found.encode(states), found.vectors)
    inside = found.encoder.space.into(again)
    torch.testing.assert_close(inside, found.encode(states) @ drawn, rtol=1e-3, atol=1e-3)


def test_rows_that_no_direction_is_active_on_are_in_none() -> None:
    states = _states()
    found = RandomDirections(k=1, seed=3).fit(states)
    active = int((states @ found.vectors.T > 0).sum())
    assert found.sizes == (active,)
    assert 0 < active < 200


@pytest.mark.parametrize("values", [2**24, 8 * 9])
def test_the_longest_rows_come_longest_first(
    values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", values)
    states = _states(101)
    order = states.norm(dim=1).argsort(descending=True)[:7]
    for rows in (states, StoreRows(build_store(tmp_path, states, shards=4))):
        found = LargestNorm(k=7).fit(rows)
        assert found.vectors.equal(states[order])
        assert found.report["rows"] == order.tolist()


@pytest.mark.parametrize("values", [2**24, 2 * 3])
def test_of_equal_rows_the_first_are_taken(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", values)
    states = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 3.0], [0.0, -3.0], [2.0, 0.0], [3.0, 0.0]])
    assert LargestNorm(k=3).fit(states).report["rows"] == [1, 2, 3]
    assert LargestNorm(k=5).fit(states).report["rows"] == [1, 2, 3, 5, 4]
    assert LargestNorm(k=3, space="unit").fit(states).report["rows"] == [0, 1, 2]


def test_length_is_taken_in_the_space() -> None:
    """A common mean makes all rows long; without it the row that differs most is the longest."""
    states = _states() + 1000
    states[17] -= 40
    assert LargestNorm(k=1, space="centred").fit(states).report["rows"] == [17]
    assert LargestNorm(k=1).fit(states).report["rows"] != [17]
