"""Verdicts of a run: from paired states, with and without a margin, and from too few."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders import build_store, plant_shift

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.progress import Silent
from shiftlens.models.model import Model
from shiftlens.shift.comparing import compare
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.study.judging import judge_concepts

K = 4
_LEARNER = KMeans(k=K)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[ActivationStore, ActivationStore]:
    folder = tmp_path_factory.mktemp("stores")
    base, tuned, _ = plant_shift(d=32, k=K)
    return build_store(folder / "base", base), build_store(folder / "tuned", tuned)


@pytest.fixture
def shift(stores: tuple[ActivationStore, ActivationStore], tiny: Model) -> ConceptShift:
    readouts = (tiny.readout, tiny.readout)
    return compare(*stores, _LEARNER, readouts=readouts, n_words=5, n_images=2, draws=8)


def _judged(
    shift: ConceptShift, stores: tuple[ActivationStore, ActivationStore], **options: Any
) -> dict[str, Any]:
    asked: dict[str, Any] = {"margin": None, "seed": 0, "draws": 10, "progress": Silent()}
    return judge_concepts(shift, *stores, _LEARNER, **{**asked, **options})


def test_a_planted_shift_is_seen_where_a_margin_is_named(
    shift: ConceptShift, stores: tuple[ActivationStore, ActivationStore]
) -> None:
    found = _judged(shift, stores, margin=0.01)
    assert found["summary"]["moved"]["changed"] == K
    assert found["margins"] == {"moved": 0.01, "own": 0.01, "source": "user", "placebos": []}
    assert sum(found["pictures"].values()) == len(stores[0])
    for one in found["concepts"]:
        assert one["moved"]["low"] <= one["moved"]["estimate"] <= one["moved"]["high"]
        assert one["kind"]["kind"]
    # The twin that must fail: a margin far above it calls nothing changed.
    assert _judged(shift, stores, margin=1e6)["summary"]["moved"]["stable"] == K


def test_without_a_margin_nothing_is_decided(
    shift: ConceptShift, stores: tuple[ActivationStore, ActivationStore]
) -> None:
    found = _judged(shift, stores)
    assert found["summary"]["moved"] == {"changed": 0, "stable": 0, "undecided": K}
    assert found["margins"]["moved"] is None
    assert found["concepts"][0]["moved"]["estimate"] > 0


def test_too_few_samples_are_a_reason_and_no_error(
    shift: ConceptShift, stores: tuple[ActivationStore, ActivationStore], tmp_path: Path
) -> None:
    few = [
        build_store(tmp_path / str(i), one.states()[:12], ids=one.sample_ids[:12])
        for i, one in enumerate(stores)
    ]
    found = _judged(shift, (few[0], few[1]))
    assert found == {"reason": "12 states are too few for two halves and 4 concepts"}
