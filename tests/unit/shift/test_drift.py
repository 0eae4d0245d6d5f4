"""Drift at one place, for concepts that are given."""

import math

from tests.unit.shift.verdict_data import K, planted

from shiftlens.shift.drift import drift


def test_the_planted_concept_drifts_and_the_interval_holds_it() -> None:
    split, blobs = planted(moved={3: 0.6})
    found = drift(split, blobs, K, draws=50)
    assert found.concepts[3].low < 0.6 < found.concepts[3].high
    assert found.concepts[0].high < 0.2
    assert 0 < found.own.low < found.own.high < 0.5
    assert found.moved.low < 0.15 < found.moved.high  # a quarter of the samples, of .6


def test_the_same_states_have_not_drifted() -> None:
    split, blobs = planted(wobble=0.0)
    found = drift(split, blobs, K, draws=10)
    assert found.moved.to_dict() == {"estimate": 0.0, "low": 0.0, "high": 0.0}
    other, _ = planted(wobble=0.05, moved={0: 0.1})
    assert drift(other, blobs, K, draws=10).moved.estimate > 0


def test_a_concept_without_rows_has_no_number() -> None:
    split, blobs = planted()
    found = drift(split, blobs, K + 1, draws=10)
    assert math.isnan(found.concepts[K].estimate)
    assert math.isfinite(found.own.estimate)
