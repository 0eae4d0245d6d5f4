"""R squared: of any encoder, chunk by chunk, beside random dictionaries."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.builders import build_store
from tests.unit.concepts.quality.planted import blobs, centroids

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Projection
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.quality.baselines import baselines_of, random_directions, random_samples
from shiftlens.concepts.quality.reconstruction import explained, reconstruction
from shiftlens.concepts.rows import MemoryRows, StoreRows
from shiftlens.core.errors import LearnError


def _directions(states: torch.Tensor, k: int) -> Concepts:
    mean = states.mean(dim=0)
    vectors = torch.linalg.svd(states - mean, full_matrices=False).Vh[:k]
    return Concepts(vectors, "direction", Site(0), (0,) * k, encoder=Projection(mean=mean))


def test_explained_variance_of_centroids_is_the_textbooks() -> None:
    states, labels = blobs()
    within = sum(
        float((states[labels == one] - states[labels == one].mean(0)).square().sum())
        for one in range(3)
    )
    total = float((states - states.mean(0)).square().sum())
    assert explained(centroids(states, labels), states) == pytest.approx(1 - within / total)
    one = centroids(states, torch.zeros(90, dtype=torch.long))
    assert explained(one, states) == pytest.approx(0.0, abs=1e-5)


def test_directions_without_lengths_are_measured_at_length_one() -> None:
    """Twin: the same directions in a space that keeps lengths."""
    states = blobs()[0] + 20
    ones = torch.nn.functional.normalize(states, dim=1)
    learned = SemiNMF(k=3, space="unit").fit(states)
    left = (ones - learned.encode(states) @ learned.vectors).square().sum()
    expected = 1 - float(left / (ones - ones.mean(0)).square().sum())
    assert explained(learned, states) == pytest.approx(expected, abs=1e-4)
    assert explained(learned, states) > 0.5
    found = reconstruction(learned, states, baselines=baselines_of(learned, MemoryRows(states)))
    assert found.value.estimate == pytest.approx(expected, abs=1e-4)
    longer = states * torch.linspace(1, 9, len(states))[:, None]
    assert explained(learned, longer) == pytest.approx(expected, abs=1e-4)
    raw = SemiNMF(k=3).fit(states)
    assert explained(raw, longer) != pytest.approx(explained(raw, states), abs=1e-4)


def test_explained_variance_of_directions_is_that_of_the_singular_values() -> None:
    states, _ = blobs(noise=1.0)
    values = torch.linalg.svdvals(states - states.mean(0)).square()
    expected = float(values[:2].sum() / values.sum())
    assert explained(_directions(states, 2), states) == pytest.approx(expected, abs=1e-5)


def test_a_store_in_shards_gives_what_memory_gives(tmp_path: Path) -> None:
    states, labels = blobs()
    store = build_store(tmp_path / "s", states, shards=3)
    concepts = centroids(states, labels)
    assert explained(concepts, StoreRows(store)) == pytest.approx(explained(concepts, states))


def test_learned_concepts_beat_random_ones_and_random_ones_do_not_beat_themselves() -> None:
    states, labels = blobs(noise=1.5)
    rows, concepts = MemoryRows(states), centroids(states, labels)
    found = reconstruction(concepts, rows, baselines=baselines_of(concepts, rows))
    difference = found.beside("random samples").difference
    assert difference is not None
    assert difference.low > 0
    assert found.value.estimate == pytest.approx(explained(concepts, states))
    assert found.value.low < found.value.estimate < found.value.high
    # Twin: a random dictionary against itself gains nothing.
    random = random_samples(concepts, rows, seed=1)
    same = reconstruction(random, rows, baselines={"itself": [random]}).beside("itself")
    assert same.difference is not None
    assert (same.difference.low, same.difference.high) == pytest.approx((0, 0), abs=1e-12)


def test_random_directions_explain_their_share_of_the_dimensions() -> None:
    states = torch.randn(400, 20, generator=torch.Generator().manual_seed(0)) + 4
    concepts = _directions(states, 5)
    found = reconstruction(
        concepts, states, baselines=baselines_of(concepts, MemoryRows(states), n_draws=8)
    )
    for name in ("random directions", "random samples"):
        assert found.beside(name).value.estimate == pytest.approx(5 / 20, abs=0.06)
        difference = found.beside(name).difference
        assert difference is not None
        assert difference.low > 0


def test_baselines_keep_kind_lengths_and_encoder_and_take_a_seed() -> None:
    states, labels = blobs()
    rows, concepts = MemoryRows(states), _directions(states, 3)
    found = random_directions(concepts, seed=1)
    torch.testing.assert_close(found.vectors.norm(dim=1), concepts.vectors.norm(dim=1))
    assert found.encoder is concepts.encoder
    assert found.vectors.equal(random_directions(concepts, seed=1).vectors)
    assert not found.vectors.equal(random_directions(concepts, seed=2).vectors)
    chosen = random_samples(centroids(states, labels), rows, seed=1).vectors
    assert all(bool((states == one).all(dim=1).any()) for one in chosen)
    with pytest.raises(LearnError, match="in the place of centroids"):
        random_directions(centroids(states, labels))
    with pytest.raises(LearnError, match="3 random samples out of 2 rows"):
        random_samples(concepts, MemoryRows(states[:2]))


def test_an_encoder_with_weights_of_its_own_has_no_baseline() -> None:
    class Deaf(Projection):
        name = "deaf"

        def encode(self, acts: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
            return acts[:, : len(vectors)].float()

    states, _ = blobs()
    concepts = Concepts(torch.eye(3, 12), "direction", Site(0), (0,) * 3, encoder=Deaf())
    assert baselines_of(concepts, MemoryRows(states)) == {}
    hearing = Concepts(torch.eye(3, 12), "direction", Site(0), (0,) * 3)
    assert set(baselines_of(hearing, MemoryRows(states))) == {
        "random samples",
        "random directions",
    }


def test_float16_states_do_not_overflow() -> None:
    states, labels = blobs(noise=30.0)
    half = (states * 500).half()
    concepts = centroids(half.float(), labels)
    assert np.isfinite(explained(concepts, half))


def test_rows_without_variance_are_refused() -> None:
    states, labels = blobs()
    concepts = centroids(states, labels)
    with pytest.raises(LearnError, match="all rows are one and the same"):
        explained(concepts, states[:1].expand(7, -1))
    with pytest.raises(LearnError, match="no rows"):
        explained(concepts, states[:0])
    with pytest.raises(LearnError, match="not finite"):
        explained(concepts, torch.full((3, 12), float("nan")))
    with pytest.raises(LearnError, match="do not fit these concepts"):
        explained(concepts, torch.randn(4, 5))
