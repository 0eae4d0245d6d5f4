"""The published figures, concept by concept, from planted shifts."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store, plant_shift

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import LearnError
from shiftlens.models.model import Model
from shiftlens.shift.gains import Gains, published_gains
from shiftlens.shift.matching import bijective
from shiftlens.shift.vectors import consistency, shift_vectors

K = 4
LEARNER = KMeans(k=K)


def _stores(folder: Path, **planted: float) -> tuple[ActivationStore, ActivationStore]:
    base, tuned, _ = plant_shift(d=32, k=K, **planted)
    return build_store(folder / "base", base), build_store(folder / "tuned", tuned)


def _gains(stores: tuple[ActivationStore, ActivationStore], model: Model) -> Gains:
    readouts = (model.readout, model.readout)
    return published_gains(*stores, LEARNER, readouts=readouts, n_words=5)


def test_every_figure_is_what_it_says(tiny: Model, tmp_path: Path) -> None:
    base, tuned = stores = _stores(tmp_path)
    found = _gains(stores, tiny)
    a, b = base.states(), tuned.states()
    vectors, targets = LEARNER.fit(a).vectors, LEARNER.fit(b).vectors
    labels = torch.cdist(a, vectors).argmin(dim=1)
    shifts = shift_vectors(a, b, labels, K)
    alone, inclusive = consistency(a, b, labels, K)
    partners = bijective(vectors, targets)
    cosine = torch.nn.functional.cosine_similarity
    for i, one in enumerate(found.concepts):
        target = targets[partners[i]]
        before = float(cosine(vectors[i], target, dim=0))
        after = float(cosine(vectors[i] + shifts[i], target, dim=0))
        assert (one.index, one.partner, one.rows) == (i, partners[i], int((labels == i).sum()))
        assert one.cosine_original == pytest.approx(before, abs=1e-5)
        assert one.cosine_shifted == pytest.approx(after, abs=1e-5)
        assert one.relative_gain == pytest.approx((after - before) / before, abs=1e-4)
        assert one.consistency == pytest.approx(float(alone[i]), abs=1e-5)
        assert one.consistency_published == pytest.approx(float(inclusive[i]), abs=1e-5)
        assert one.magnitude == pytest.approx(float(shifts[i].norm()), rel=1e-5)
        assert 0 <= one.overlap_original <= one.overlap_shifted <= 1


def test_planted_shifts_are_gained_back_on_the_same_samples(tiny: Model, tmp_path: Path) -> None:
    found = _gains(_stores(tmp_path, own=12.0), tiny).to_dict()
    assert found["rows"] == 240
    assert found["cosine"]["shifted"] > 0.99 > found["cosine"]["original"]
    assert found["overlap"]["shifted"] == pytest.approx(1.0)
    assert found["overlap"]["rises"] > 0
    assert found["overlap"]["falls"] == 0
    assert len(found["concepts"]) == found["k"] == K


def test_twin_noise_is_gained_back_too_which_is_why_nothing_is_claimed(
    tiny: Model, tmp_path: Path
) -> None:
    found = _gains(_stores(tmp_path, own=0.0, common=0.0, noise=6.0), tiny)
    assert found.mean("relative_gain") > 0


def test_a_store_against_itself_gains_nothing(tiny: Model, tmp_path: Path) -> None:
    base, _ = _stores(tmp_path)
    found = _gains((base, base), tiny)
    for one in found.concepts:
        assert one.index == one.partner
        assert one.relative_gain == pytest.approx(0, abs=1e-6)
        assert one.overlap_original == one.overlap_shifted == 1
        assert one.magnitude == 0


def test_only_samples_of_both_count_and_they_must_be_enough(tiny: Model, tmp_path: Path) -> None:
    base, tuned = _stores(tmp_path)
    assert _gains((base, tuned.at_rows(range(100))), tiny).rows == 100
    with pytest.raises(LearnError, match="cannot learn 4 concepts from 3 rows"):
        _gains((base, tuned.at_rows(range(3))), tiny)
