"""Shifts at every layer, for one assignment of samples to concepts."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store, plant_shift

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import MismatchError
from shiftlens.shift.layers import shifts_by_layer
from shiftlens.shift.vectors import shift_vectors

Stores = tuple[ActivationStore, ActivationStore]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Two layers whose groups differ: layer 1 groups rows otherwise than layer 2."""
    base, tuned, _ = plant_shift()
    early = torch.randn(240, 16, generator=torch.Generator().manual_seed(7))
    later = early + 0.1 * base
    return (
        build_store(tmp_path / "base", {1: early, 2: base}),
        build_store(tmp_path / "tuned", {1: later, 2: tuned}),
    )


def test_every_layer_has_the_shifts_of_the_same_samples(stores: Stores) -> None:
    base, tuned = stores
    concepts = learn(base, KMeans(k=4), layer=2)
    found = shifts_by_layer(base, tuned, concepts)
    labels = concepts.assign(base.states(2))
    assert list(found) == [1, 2]
    for layer, vectors in found.items():
        expected = shift_vectors(base.states(layer), tuned.states(layer), labels, 4)
        assert vectors.equal(expected)
    # Twin: samples assigned at each layer anew are other samples.
    early = learn(base, KMeans(k=4), layer=1)
    anew = shift_vectors(base.states(1), tuned.states(1), early.assign(base.states(1)), 4)
    assert not torch.allclose(anew.sort(dim=0).values, found[1].sort(dim=0).values, atol=0.05)


def test_rows_that_one_side_lost_are_left_out(stores: Stores) -> None:
    base, tuned = stores
    concepts = learn(base, KMeans(k=4), layer=2)
    found = shifts_by_layer(base, tuned.at_rows(range(60, 240)), concepts)
    rest = base.at_rows(range(60, 240))
    labels = concepts.assign(rest.states(2))
    expected = shift_vectors(rest.states(1), tuned.states(1)[60:], labels, 4)
    torch.testing.assert_close(found[1], expected)


def test_concepts_of_elsewhere_are_refused(stores: Stores, tmp_path: Path) -> None:
    base, tuned = stores
    other = build_store(tmp_path / "other", base.states(2))
    with pytest.raises(MismatchError, match=r"the concepts come from .*\n.*learned from these"):
        shifts_by_layer(base, tuned, learn(other, KMeans(k=4)))
    with pytest.raises(MismatchError, match="differ in their site"):
        shifts_by_layer(base, other, learn(base, KMeans(k=4), layer=2))
