"""K-means: as good as scikit-learn's, seeded to the bit, no empty concept."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as Oracle

from shiftlens.concepts.learners.baselines import RandomSamples
from shiftlens.concepts.learners.kmeans import KMeans, _means
from shiftlens.concepts.learners.learner import learners
from shiftlens.core.errors import LearnError, ShiftLensError


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


def test_the_global_random_state_decides_nothing_and_stays() -> None:
    states, _ = _blobs(5, 100, 8, spread=1.0, seed=0)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = KMeans(k=5).fit(states)
    assert torch.random.get_rng_state().equal(before)
    torch.manual_seed(2)
    np.random.default_rng(9)
    assert KMeans(k=5).fit(states).vectors.equal(one.vectors)


def test_the_input_is_not_changed_and_half_precision_will_do() -> None:
    states = _blobs(3, 60, 8, spread=5.0, seed=0)[0].half()
    kept = states.clone()
    found = KMeans(k=3).fit(states)
    assert states.equal(kept)
    assert found.vectors.dtype == torch.float32


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


def test_an_empty_concept_takes_the_row_that_is_worst_served() -> None:
    data = torch.tensor([[0.0], [1.0], [10.0], [0.5]])
    labels = torch.tensor([0, 0, 0, 0])
    squared = torch.tensor([[0.0, 9.0], [1.0, 9.0], [100.0, 101.0], [0.25, 9.0]])
    means = _means(data, labels, squared, 2)
    assert means.flatten().tolist() == pytest.approx([2.875, 10.0])


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


@pytest.mark.parametrize("learner", [KMeans, RandomSamples])
@pytest.mark.parametrize("k", [0, 11, -3])
def test_more_concepts_than_rows_is_refused(learner: type, k: int) -> None:
    with pytest.raises(LearnError, match=f"cannot learn {k} concepts from 10 rows"):
        learner(k=k).fit(torch.zeros(10, 3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_states_that_are_not_finite_are_counted(bad: float) -> None:
    states = torch.zeros(10, 3)
    states[[2, 5], 1] = bad
    with pytest.raises(LearnError, match="2 of 10 states are not finite"):
        KMeans(k=2).fit(states)


def test_random_samples_are_rows_and_worse_than_learned() -> None:
    states, _ = _blobs(5, 200, 8, spread=2.0, seed=0)
    found = RandomSamples(k=5, seed=1).fit(states)
    assert all(bool((states == row).all(dim=1).any()) for row in found.vectors)
    assert found.vectors.equal(RandomSamples(k=5, seed=1).fit(states).vectors)
    assert _objective(states, found.vectors) > _objective(states, KMeans(k=5).fit(states).vectors)


def test_learners_are_known_by_name() -> None:
    assert learners.get("kmeans") is KMeans
    assert KMeans(k=3).options()["name"] == "kmeans"
    with pytest.raises(ShiftLensError, match="unknown learner 'k-means'"):
        learners.get("k-means")
