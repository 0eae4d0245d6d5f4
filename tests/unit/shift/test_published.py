"""Recovery the published way: every control stands beside it, and matching again flatters all."""

import pytest
from tests.builders import plant_shift

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.models.model import Model
from shiftlens.shift.published import PublishedRecovery, recover_published

CONTROLS = ("global", "shuffled", "permuted", "random", "affine", "partition", "samples")


@pytest.fixture
def found(tiny: Model) -> PublishedRecovery:
    base, tuned, _ = plant_shift(d=32, k=6, common=6.0)
    ids = [f"s{i}" for i in range(240)]
    return recover_published(base + 8, tuned + 8, ids, KMeans(k=6), tiny.readout, n_words=5)


def test_every_control_is_there_and_every_value_possible(found: PublishedRecovery) -> None:
    for curves in (found.cosine, found.centred_cosine, found.t_overlap):
        assert tuple(curves) == ("concept", *CONTROLS)
        assert all(len(curve) == len(found.strengths) == 5 for curve in curves.values())
    assert all(0 <= value <= 1 for curve in found.t_overlap.values() for value in curve)


def test_at_strength_zero_controls_that_keep_the_concepts_are_the_concepts(
    found: PublishedRecovery,
) -> None:
    for curves in (found.cosine, found.centred_cosine, found.t_overlap):
        kept = {curves[name][0] for name in ("concept", *CONTROLS[:5])}
        assert len(kept) == 1
        assert curves["partition"][0] not in kept or curves is found.t_overlap


def test_the_published_way_is_flattered_by_matching_again(found: PublishedRecovery) -> None:
    """Raw cosines rise with the strength, and those of random samples are high too."""
    at_one = found.strengths.index(1.0)
    assert found.cosine["concept"][at_one] > found.cosine["concept"][0]
    assert found.cosine["samples"][0] == found.cosine["samples"][at_one] > 0.5
    assert found.centred_cosine["concept"][at_one] <= found.cosine["concept"][at_one]
    assert found.t_overlap["concept"][at_one] > found.t_overlap["concept"][0]
    assert found.cosine["random"][at_one] < found.cosine["concept"][at_one]
    assert found.centred_cosine["partition"][at_one] < found.centred_cosine["concept"][at_one]
