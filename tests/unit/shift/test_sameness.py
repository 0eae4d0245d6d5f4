"""Is the matched concept still the same, beyond what two halves of one model differ by?"""

import math

from tests.unit.shift.verdict_data import K, planted

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.sameness import Sameness, sameness


def _found(moved: dict[int, float]) -> tuple[list[Sameness], list[int]]:
    split, blobs = planted(600, moved=moved)
    learner = KMeans(k=K)
    learned = learner.fit(split.base)
    labels = learned.assign(split.judging_base)
    order = [int(labels[blobs == blob].mode().values) for blob in range(K)]
    return sameness(split, learner, learned, draws=15), order


def test_where_nothing_moved_the_match_is_as_good_as_with_itself() -> None:
    found, _ = _found({})
    for one in found:
        assert one.within > 0.95
        assert one.drop is not None
        assert one.drop.low < 0.01
        assert abs(one.drop.estimate) < 0.01


def test_a_concept_that_went_elsewhere_is_no_longer_the_same() -> None:
    found, order = _found({2: 6.0})
    moved = found[order[2]]
    assert moved.drop is not None
    assert moved.drop.low > 0.05
    stayed = found[order[0]]
    assert stayed.drop is not None
    assert stayed.drop.estimate < moved.drop.estimate / 2


def test_a_concept_that_refits_do_not_find_has_no_drop() -> None:
    split, _ = planted(120)
    learner = KMeans(k=12)
    found = sameness(split, learner, learner.fit(split.base), draws=6)
    assert all(one.drop is None for one in found)
    written = found[0].to_dict()
    assert set(written) == {"across", "within", "drop"}
    assert math.isnan(written["across"]) or -1 <= written["across"] <= 1
