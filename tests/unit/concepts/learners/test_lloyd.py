"""One pass over rows, whole runs, k-means++: against their definitions."""

import math

import numpy as np
import pytest
import torch

from shiftlens.concepts.learners import lloyd
from shiftlens.concepts.learners.lloyd import (
    Frame,
    Pass,
    Room,
    Stop,
    Worst,
    plus_plus,
    run,
    squared_distances,
    squared_lengths,
)


def _normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def _pass(rows: torch.Tensor, centroids: torch.Tensor, size: int) -> Pass:
    seen = Pass(centroids, Frame(torch.zeros(rows.shape[1])))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        seen.add(rows[part], torch.arange(len(rows))[part])
    return seen


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_pass_finds_means_counts_and_the_objective(size: int) -> None:
    rows, centroids = _normal(300, 6), _normal(4, 6, seed=1)
    seen = _pass(rows, centroids, size)
    nearest = torch.cdist(rows.double(), centroids.double()).min(dim=1)
    means = torch.stack([rows[nearest.indices == one].mean(dim=0) for one in range(4)])
    assert seen.counts.tolist() == torch.bincount(nearest.indices).tolist()
    assert seen.objective == pytest.approx(float(nearest.values.square().sum()), rel=1e-6)
    torch.testing.assert_close(seen.moved(lambda numbers: rows[numbers]), means)


def test_an_empty_concept_takes_the_row_that_is_worst_served() -> None:
    rows = torch.tensor([[0.0], [1.0], [10.0], [0.5], [-9.0]])
    centroids = torch.tensor([[0.0], [100.0], [200.0]])
    for size in (1, 2, 5):
        seen = _pass(rows, centroids, size)
        moved = seen.moved(lambda numbers: rows[torch.from_numpy(numbers)])
        assert moved.flatten().tolist() == pytest.approx([0.5, 10.0, -9.0])


@pytest.mark.parametrize("held", [1, 5, 10_000])
def test_the_worst_are_the_first_of_equals_whatever_is_held(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lloyd, "_HELD", held)
    squared = torch.tensor([3.0, 9.0, 9.0, 1.0, 9.0, 4.0, 9.0, 0.0, 12.0])
    worst = Worst(4)
    for part in torch.arange(9).split(2):
        worst.add(squared[part], part + 100)
    assert worst.rows().tolist() == [108, 101, 102, 104]


def test_fewer_rows_than_concepts_are_all_of_the_worst() -> None:
    worst = Worst(5)
    worst.add(torch.tensor([1.0, 2.0]), torch.tensor([7, 8]))
    assert worst.rows().tolist() == [8, 7]


def test_no_iteration_raises_the_objective() -> None:
    rows = _normal(400, 5)
    lengths, frame = squared_lengths(rows), Frame(torch.zeros(5))
    start = plus_plus(rows, lengths, 9, np.random.default_rng(0))
    before = math.inf
    for iterations in range(12):
        found = run(rows, start, frame, Stop(iterations, 0.0), lengths)
        assert found.objective <= before * (1 + 1e-6)
        before = found.objective


def test_stopping_by_gain_is_earlier_and_nearly_as_good() -> None:
    rows = _normal(2000, 5)
    lengths, frame = squared_lengths(rows), Frame(torch.zeros(5))
    start = plus_plus(rows, lengths, 9, np.random.default_rng(0))
    early = run(rows, start, frame, Stop(500, 0.0, gain=1e-4), lengths)
    late = run(rows, start, frame, Stop(500, 0.0), lengths)
    assert early.converged
    assert late.converged
    assert early.iterations < late.iterations
    assert late.objective <= early.objective <= 1.01 * late.objective


def test_centroids_on_the_sphere_have_length_one() -> None:
    rows = torch.nn.functional.normalize(_normal(200, 6), dim=1)
    centre = rows.mean(dim=0)
    frame = Frame(centre, on_sphere=True)
    data = rows - centre
    found = run(data, data[:5].clone(), frame, Stop(20, 0.0), squared_lengths(data))
    lengths = (found.centroids + centre).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(5))
    free = run(data, data[:5].clone(), Frame(centre), Stop(20, 0.0), squared_lengths(data))
    assert float((free.centroids + centre).norm(dim=1).max()) < 0.99, "the twin: means are shorter"


def test_squared_distances_are_never_negative() -> None:
    rows = _normal(50, 4) * 1e-3 + 100
    squared = squared_distances(rows, squared_lengths(rows), rows)
    assert float(squared.min()) >= 0


def test_plus_plus_chooses_different_rows_far_apart() -> None:
    """Six far groups: greedy draws find all of them, draws without regard to distance do not."""
    centres = _normal(6, 8) * 100
    labels = torch.arange(600) % 6
    rows = centres[labels] + _normal(600, 8, seed=1)
    lengths = squared_lengths(rows)
    for seed in range(10):
        chosen = plus_plus(rows, lengths, 6, np.random.default_rng(seed))
        assert torch.cdist(chosen, centres).argmin(dim=1).unique().tolist() == list(range(6))
    blind = [
        len(set(labels[np.random.default_rng(seed).choice(600, 6)].tolist())) for seed in range(10)
    ]
    assert min(blind) < 6


def test_plus_plus_takes_equal_rows_where_no_others_are_left() -> None:
    rows = torch.ones(10, 3)
    chosen = plus_plus(rows, squared_lengths(rows), 4, np.random.default_rng(0))
    assert chosen.equal(torch.ones(4, 3))


def test_the_room_is_used_again_and_the_rows_stay() -> None:
    rows = _normal(9, 3)
    kept, room = rows.clone(), Room(torch.ones(3))
    first = room.centred(rows[:6])
    torch.testing.assert_close(first, kept[:6] - 1)
    second = room.centred(rows[6:])
    torch.testing.assert_close(second, kept[6:] - 1)
    assert second.data_ptr() == first.data_ptr()
    assert rows.equal(kept)
