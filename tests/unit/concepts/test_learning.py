"""``learn`` at the public edge: copies of concepts are refused, what is arbitrary is told."""

import warnings
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.concepts.learning import DominantDimensions, FlatDirections, learn
from shiftlens.core.errors import LearnError


def _normal(n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "learner", [KMeans(k=5), MiniBatchKMeans(k=5), SparseCoding(k=5)], ids=lambda one: one.name
)
def test_more_concepts_than_different_states_are_refused(
    learner: ConceptLearner, tmp_path: Path
) -> None:
    store = build_store(tmp_path / "s", _normal(3, 8).repeat(20, 1))
    with pytest.raises(LearnError, match=r"5 concepts from 3 different states \(60 in all\)\n.*3"):
        learn(store, learner)


def test_as_many_as_there_are_different_states_will_do(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s", _normal(3, 8).repeat(20, 1))
    assert learn(store, KMeans(k=3)).sizes == (20, 20, 20)


def test_states_that_differ_in_length_alone_are_one_on_the_sphere(tmp_path: Path) -> None:
    lengths = torch.rand(60, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    store = build_store(tmp_path / "s", _normal(3, 8).repeat(20, 1) * lengths)
    with pytest.raises(LearnError, match="5 concepts from 3 different states"):
        learn(store, KMeans(k=5, space="unit"))
    assert min(learn(store, KMeans(k=5)).sizes) > 0, "the twin: raw, lengths tell"


def test_directions_without_variance_are_told(tmp_path: Path) -> None:
    flat = _normal(60, 3) @ _normal(3, 8)
    store = build_store(tmp_path / "s", flat)
    with pytest.warns(FlatDirections, match="vary in 3 directions, of 5 that were asked for"):
        concepts = learn(store, PCA(k=5))
    torch.testing.assert_close(concepts.vectors @ concepts.vectors.T, torch.eye(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(store, PCA(k=3))


def test_a_dominant_dimension_is_told_where_it_is_heard(tmp_path: Path) -> None:
    states = _normal(100, 64)
    states[:, 9] *= 300
    store = build_store(tmp_path / "s", states)
    with pytest.warns(DominantDimensions, match=r"dimensions \[9\] carry"):
        learn(store, KMeans(k=3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(store, KMeans(k=3, space="standard"))
