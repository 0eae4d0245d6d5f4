"""Mini-batch k-means: near to k-means, by batches that chunks do not decide."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.learners import sampling
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans
from shiftlens.concepts.rows import StoreRows


def _blobs(
    k: int, n: int, d: int, *, spread: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=random) * spread
    labels = torch.randint(k, (n,), generator=random)
    return centres[labels] + torch.randn(n, d, generator=random), labels


def _objective(states: torch.Tensor, vectors: torch.Tensor) -> float:
    return float(torch.cdist(states.double(), vectors.double()).min(dim=1).values.square().sum())


@pytest.fixture
def few_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 300 rows of width 8 fit the sample."""
    monkeypatch.setattr(sampling, "SAMPLE_VALUES", 300 * 8)


@pytest.mark.usefixtures("few_fit")
@pytest.mark.parametrize(("spread", "least"), [(4.0, 1.001), (1.0, 1.01), (0.3, 1.02)])
@pytest.mark.parametrize("ordered", [False, True])
def test_nearly_as_good_as_k_means(spread: float, least: float, ordered: bool) -> None:
    """Also where rows come sorted, a group to a batch; within 2 % where there are no groups."""
    states, labels = _blobs(6, 3000, 8, spread=spread, seed=1)
    if ordered:
        states = states[labels.argsort()]
    full = KMeans(k=6, n_starts=8).fit(states)
    found = MiniBatchKMeans(k=6, n_starts=8, batch_size=128).fit(states)
    assert found.report["objective"] <= least * full.report["objective"]
    exact = _objective(states, found.vectors)
    assert found.report["objective"] == pytest.approx(exact, rel=1e-5)
    assert sum(found.sizes) == 3000


def test_one_batch_a_pass_moves_centroids_to_their_means() -> None:
    """With nothing forgotten yet a batch of all rows is half a step of Lloyd's algorithm."""
    states, _ = _blobs(4, 400, 8, spread=4.0, seed=0)
    found = MiniBatchKMeans(k=4, batch_size=400, tol=0.0).fit(states)
    labels = found.assign(states)
    means = torch.stack([states[labels == one].mean(dim=0) for one in range(4)])
    torch.testing.assert_close(found.vectors, means, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("few_fit")
def test_batches_are_the_same_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = _blobs(6, 1000, 8, spread=1.0, seed=2)[0]
    learner = MiniBatchKMeans(k=6, n_starts=1, batch_size=64)
    memory = learner.fit(states)
    for number, values in enumerate((8 * 10, 8 * 64, 8 * 101)):
        monkeypatch.setattr(rows_module, "CHUNK_VALUES", values)
        stored = StoreRows(build_store(tmp_path / str(number), states, shards=3))
        found = learner.fit(stored)
        torch.testing.assert_close(found.vectors, memory.vectors, rtol=1e-4, atol=1e-4)
        assert found.sizes == memory.sizes
        assert found.report["iterations"] == memory.report["iterations"]


@pytest.mark.usefixtures("few_fit")
def test_twin_batches_of_another_size_move_otherwise() -> None:
    states = _blobs(6, 1000, 8, spread=1.0, seed=2)[0]
    one = MiniBatchKMeans(k=6, n_starts=1, batch_size=64, max_passes=2).fit(states)
    other = MiniBatchKMeans(k=6, n_starts=1, batch_size=50, max_passes=2).fit(states)
    assert float((one.vectors - other.vectors).abs().max()) > 1e-3


@pytest.mark.usefixtures("few_fit")
def test_a_concept_that_wins_nothing_takes_the_row_served_worst() -> None:
    states = torch.zeros(3000, 8)
    states[torch.arange(6) * 400 + 11] = torch.eye(8)[:6] * torch.arange(10.0, 70.0, 10.0)[:, None]
    found = MiniBatchKMeans(k=7, n_starts=1, batch_size=100, max_passes=30, tol=0.0).fit(states)
    assert found.sizes.count(0) == 0


def test_passes_end_and_say_whether_they_converged() -> None:
    states, _ = _blobs(20, 2000, 8, spread=0.3, seed=3)
    short = MiniBatchKMeans(k=20, batch_size=100, max_passes=1).fit(states)
    assert (short.report["iterations"], short.report["converged"]) == (1, False)
    long = MiniBatchKMeans(k=20, batch_size=100).fit(states)
    assert long.report["converged"]
    assert 1 < long.report["iterations"] < 20


def test_unit_space_keeps_centroids_on_the_sphere() -> None:
    states, truth = _blobs(5, 500, 12, spread=6.0, seed=4)
    states = states * (torch.rand(500, 1, generator=torch.Generator().manual_seed(0)) * 9 + 0.5)
    found = MiniBatchKMeans(k=5, space="unit", batch_size=64).fit(states)
    labels = found.assign(states)
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == 5
    assert found.sizes == tuple(torch.bincount(labels, minlength=5).tolist())
