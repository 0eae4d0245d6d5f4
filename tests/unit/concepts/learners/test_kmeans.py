"""K-means: as good as scikit-learn's, seeded to the bit, no empty concept."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Oracle
from tests.builders import build_store

from shiftlens.concepts import rows as rows_module
from shiftlens.concepts.learners import sampling
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.rows import MemoryRows, StoreRows


def _blobs(
    k: int, n: int, d: int, *, spread: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(k, d, generator=random) * spread
    labels = torch.randint(k, (n,), generator=random)
    return centres[labels] + torch.randn(n, d, generator=random), labels


def _objective(states: torch.Tensor, vectors: torch.Tensor) -> float:
    return float(torch.cdist(states.double(), vectors.double()).min(dim=1).values.square().sum())


@pytest.mark.parametrize(
    ("k", "n", "d", "spread"),
    [(5, 300, 8, 6.0), (8, 400, 32, 2.0), (6, 200, 4, 0.0), (20, 400, 16, 1.0)],
)
def test_as_good_as_scikit_learn(k: int, n: int, d: int, spread: float) -> None:
    states, _ = _blobs(k, n, d, spread=spread, seed=k)
    ours = _objective(states, KMeans(k=k, n_starts=8).fit(states).vectors)
    oracle = Oracle(n_clusters=k, n_init=8, random_state=0).fit(states.numpy())
    assert ours <= 1.01 * float(oracle.inertia_)


def test_the_reported_objective_is_the_objective() -> None:
    states, _ = _blobs(4, 200, 8, spread=2.0, seed=0)
    found = KMeans(k=4).fit(states)
    assert found.report["objective"] == pytest.approx(_objective(states, found.vectors), rel=1e-4)
    assert found.report["converged"]
    assert sum(found.sizes) == 200


def test_separated_blobs_are_recovered() -> None:
    states, truth = _blobs(6, 300, 16, spread=10.0, seed=1)
    labels = torch.cdist(states, KMeans(k=6).fit(states).vectors).argmin(dim=1)
    pairs = set(zip(labels.tolist(), truth.tolist(), strict=True))
    assert len(pairs) == 6, "each concept is one blob and each blob one concept"


def test_twin_blobs_that_are_not_separated_are_not() -> None:
    states, truth = _blobs(6, 300, 16, spread=0.1, seed=1)
    labels = torch.cdist(states, KMeans(k=6).fit(states).vectors).argmin(dim=1)
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) > 20


def test_same_seed_same_bits() -> None:
    states, _ = _blobs(5, 300, 8, spread=1.0, seed=0)
    one, other = KMeans(k=5, seed=3).fit(states), KMeans(k=5, seed=3).fit(states)
    assert one.vectors.equal(other.vectors)
    assert (one.sizes, one.report) == (other.sizes, other.report)
    different = KMeans(k=5, seed=4, n_starts=1).fit(states)
    assert not different.vectors.equal(KMeans(k=5, seed=3, n_starts=1).fit(states).vectors)


def test_a_large_common_mean_does_not_cost_precision() -> None:
    """States share a mean that is far larger than what tells them apart."""
    states, _ = _blobs(4, 200, 8, spread=3.0, seed=0)
    near, far = KMeans(k=4).fit(states), KMeans(k=4).fit(states + 4096.0)
    assert sorted(near.sizes) == sorted(far.sizes)
    torch.testing.assert_close(far.vectors - 4096.0, near.vectors, atol=1e-2, rtol=0)


def test_every_centroid_is_the_mean_of_its_rows() -> None:
    states, _ = _blobs(4, 200, 8, spread=3.0, seed=0)
    found = KMeans(k=4, tol=0.0).fit(states)
    labels = torch.cdist(states, found.vectors).argmin(dim=1)
    means = torch.stack([states[labels == k].mean(dim=0) for k in range(4)])
    torch.testing.assert_close(found.vectors, means, atol=1e-4, rtol=1e-4)


def test_no_concept_stays_empty() -> None:
    """Many equal rows and a few others: random starts coincide."""
    states = torch.cat([torch.zeros(95, 3), torch.eye(5, 3) * 7 + torch.arange(5.0)[:, None]])
    for seed in range(20):
        assert min(KMeans(k=6, seed=seed, n_starts=1).fit(states).sizes) > 0


def test_as_many_concepts_as_rows() -> None:
    states = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    found = KMeans(k=7).fit(states)
    assert found.sizes == (1,) * 7
    assert found.report["objective"] == pytest.approx(0.0, abs=1e-5)


class _Counted(MemoryRows):
    """Rows that count how often they are read, and how many are asked for by number."""

    passes = 0
    taken = 0

    def chunks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.passes += 1
        yield from super().chunks()

    def take(self, numbers: np.ndarray) -> torch.Tensor:
        self.taken += len(numbers)
        return super().take(numbers)


@pytest.fixture
def few_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only 300 rows of width 8 fit the sample, and 50 a chunk."""
    monkeypatch.setattr(sampling, "SAMPLE_VALUES", 300 * 8)
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 50 * 8)
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 30 * 8)


def test_rows_that_fit_are_read_three_times_and_no_more() -> None:
    rows = _Counted(_blobs(5, 300, 8, spread=1.0, seed=0)[0])
    found = KMeans(k=5).fit(rows)
    assert (rows.passes, rows.taken) == (3, 0), "to survey them, to hold them, to count them"
    assert found.report["sampled_rows"] == 300


@pytest.mark.usefixtures("few_fit")
def test_rows_that_do_not_fit_are_sampled_and_then_read_pass_by_pass() -> None:
    rows = _Counted(_blobs(5, 2000, 8, spread=1.0, seed=0)[0])
    found = KMeans(k=5, max_iter=7, tol=0.0).fit(rows)
    assert found.report["sampled_rows"] == rows.taken == 300
    # One to survey, seven that move the centroids, one for the objective, one that counts.
    assert (rows.passes, found.report["iterations"], found.report["converged"]) == (10, 7, False)
    assert sum(found.sizes) == 2000


@pytest.mark.parametrize(("spread", "seed"), [(4.0, 0), (0.7, 1)])
def test_a_sample_ends_where_all_rows_in_memory_do(
    spread: float, seed: int, request: pytest.FixtureRequest
) -> None:
    states, _ = _blobs(6, 3000, 8, spread=spread, seed=seed)
    whole = KMeans(k=6, n_starts=8).fit(states)
    request.getfixturevalue("few_fit")
    passed = KMeans(k=6, n_starts=8).fit(states)
    assert passed.report["sampled_rows"] < whole.report["sampled_rows"] == 3000
    assert passed.report["objective"] <= 1.01 * whole.report["objective"]
    exact = _objective(states, passed.vectors)
    assert passed.report["objective"] == pytest.approx(exact, rel=1e-5)


@pytest.mark.usefixtures("few_fit")
@pytest.mark.parametrize("space", ["raw", "unit", "standard", "white"])
def test_shards_and_chunks_decide_nothing(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = _blobs(6, 1500, 8, spread=2.0, seed=3)[0] + 20
    learner = KMeans(k=6, n_starts=2, space=space)
    stored = learner.fit(StoreRows(build_store(tmp_path, states, shards=7)))
    monkeypatch.setattr(rows_module, "CHUNK_VALUES", 2**24)
    monkeypatch.setattr(rows_module, "BLOCK_VALUES", 2**22)
    memory = learner.fit(states)
    torch.testing.assert_close(stored.vectors, memory.vectors, rtol=1e-4, atol=1e-4)
    assert stored.sizes == memory.sizes
    assert stored.report["objective"] == pytest.approx(memory.report["objective"], rel=1e-5)
    assert stored.report["iterations"] == memory.report["iterations"]


@pytest.mark.usefixtures("few_fit")
def test_passes_repair_a_concept_that_the_sample_left_empty() -> None:
    """Nearly all rows are one: a sample of them has too few others for six concepts."""
    others = torch.eye(8)[:6] * torch.arange(10.0, 70.0, 10.0)[:, None]
    states = torch.zeros(3000, 8)
    states[torch.arange(6) * 400 + 11] = others
    for seed in range(5):
        found = KMeans(k=7, seed=seed, n_starts=1).fit(states)
        assert found.sizes.count(1) == 6, found.sizes
        assert found.report["objective"] == pytest.approx(0.0, abs=1e-2)


def test_twin_a_start_alone_leaves_them_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    states = torch.zeros(3000, 8)
    states[torch.arange(6) * 400 + 11] = torch.eye(8)[:6] * 50
    drawn = np.sort(np.random.default_rng(0).choice(3000, 300, replace=False))
    assert int((states[torch.from_numpy(drawn)].norm(dim=1) > 0).sum()) < 6


def test_every_start_is_told_and_the_best_one_goes_on() -> None:
    states, _ = _blobs(12, 400, 4, spread=1.5, seed=2)
    report = KMeans(k=12, n_starts=6).fit(states).report
    assert len(report["start_objectives"]) == 6
    assert report["objective"] == min(report["start_objectives"])
    assert max(report["start_objectives"]) > report["objective"], "starts differ here"


def test_a_fit_that_is_cut_short_says_so() -> None:
    states, _ = _blobs(12, 400, 4, spread=0.2, seed=2)
    short = KMeans(k=12, n_starts=1, max_iter=2, tol=0.0).fit(states)
    assert (short.report["iterations"], short.report["converged"]) == (2, False)
    long = KMeans(k=12, n_starts=1, tol=0.0).fit(states)
    assert long.report["converged"]
    assert long.report["iterations"] > 2
    exact = KMeans(k=12, n_starts=1, tol=0.0, max_iter=long.report["iterations"]).fit(states)
    assert exact.report["converged"], "to stand still in the last iteration is to converge"


def test_unit_space_is_spherical_k_means() -> None:
    """Rows of every length: only the direction tells; sizes are those that ``assign`` gives."""
    states, truth = _blobs(5, 300, 12, spread=6.0, seed=4)
    lengths = torch.rand(300, 1, generator=torch.Generator().manual_seed(0)) * 50 + 0.5
    found = KMeans(k=5, space="unit").fit(states * lengths)
    labels = found.assign(states * lengths)
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == 5
    assert found.sizes == tuple(torch.bincount(labels, minlength=5).tolist())
    raw = KMeans(k=5).fit(states * lengths).assign(states * lengths)
    assert len(set(zip(raw.tolist(), truth.tolist(), strict=True))) > 5, "the twin: raw rows"


@pytest.mark.parametrize("space", ["raw", "centred", "standard", "white", "unit"])
def test_sizes_are_what_assign_gives(space: str) -> None:
    states, _ = _blobs(7, 500, 16, spread=0.7, seed=5)
    found = KMeans(k=7, space=space).fit(states + 30)
    labels = found.assign(states + 30)
    assert found.sizes == tuple(torch.bincount(labels, minlength=7).tolist())


def test_standard_hears_what_a_massive_dimension_drowns() -> None:
    states, truth = _blobs(4, 400, 64, spread=1.0, seed=6)
    noise = torch.randn(400, generator=torch.Generator().manual_seed(1))
    states[:, 9] = noise * 3000

    def pairs(space: str) -> int:
        labels = KMeans(k=4, space=space).fit(states).assign(states)
        return len(set(zip(labels.tolist(), truth.tolist(), strict=True)))

    assert pairs("standard") == 4
    assert pairs("raw") > 4


def test_fewer_distinct_rows_than_concepts_leave_empty_ones() -> None:
    states = torch.tensor([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]]).repeat(20, 1)
    found = KMeans(k=5).fit(states)
    assert sorted(found.sizes) == [0, 0, 20, 20, 20]
    assert found.report["empty_concepts"] == 2
    assert found.report["different_rows"] == 3
    assert bool(torch.isfinite(found.vectors).all())
