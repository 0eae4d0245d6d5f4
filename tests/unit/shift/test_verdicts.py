"""Verdicts: what is planted is changed, what is not is stable, and little data decides nothing."""

import math

import pytest
import torch
from tests.unit.shift.verdict_data import K, planted

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.margins import Margins
from shiftlens.shift.refits import Refits, Split, refit
from shiftlens.shift.verdicts import (
    CHANGED,
    STABLE,
    UNDECIDED,
    Verdicts,
    judge,
    simultaneous,
    summary,
)

MARGIN = Margins.named(0.25)


def _judge(split: Split, margins: Margins = MARGIN, k: int = K) -> Verdicts:
    learner = KMeans(k=k)
    return judge(split, learner, learner.fit(split.base), margins, draws=30)


def _of(judged: Verdicts, split: Split, blobs: torch.Tensor, blob: int, name: str = "moved"):
    labels = KMeans(k=K).fit(split.base).assign(split.judging_base)
    return judged.concepts[int(labels[blobs == blob].mode().values)][name]


def test_the_concept_that_moved_is_changed_and_the_others_are_stable() -> None:
    split, blobs = planted(moved={2: 0.8})
    judged = _judge(split)
    assert _of(judged, split, blobs, 2).verdict == CHANGED
    for blob in (0, 1, 3):
        assert _of(judged, split, blobs, blob).verdict == STABLE
    assert summary(judged) == {CHANGED: 1, STABLE: 3, UNDECIDED: 0}
    assert judged.stability == (1.0,) * K


def test_what_all_concepts_did_is_not_a_concept_s_own() -> None:
    split, blobs = planted()
    together = torch.ones(16) * 0.8
    both = split.with_delta(split.delta + together, split.judging_delta + together)
    judged = _judge(both)
    assert _of(judged, split, blobs, 0, "moved").verdict == CHANGED
    assert _of(judged, split, blobs, 0, "own").verdict == STABLE


def test_at_the_margin_nothing_is_decided_and_the_needed_number_is_named() -> None:
    split, blobs = planted(240, moved={1: 0.26}, wobble=1.0)
    verdict = _of(_judge(split), split, blobs, 1)
    assert verdict.verdict == UNDECIDED
    assert verdict.why == "the interval holds the margin"
    assert verdict.needs is None or verdict.needs > verdict.pictures


def test_fewer_pictures_are_never_called_stable() -> None:
    for n in (24, 40, 64):
        split, _ = planted(n, wobble=1.5)
        assert all(one["moved"].verdict == UNDECIDED for one in _judge(split).concepts)
    split, _ = planted(4000, wobble=1.5)  # twin: with enough of them the same thing is stable
    assert all(one["moved"].verdict == STABLE for one in _judge(split).concepts)


def test_too_few_pictures_are_said_to_be() -> None:
    split, blobs = planted(64)
    verdict = _of(_judge(split), split, blobs, 0)
    assert verdict.pictures == 8
    assert verdict.why == "only 8 pictures of it to judge by"
    assert math.isnan(verdict.low)


def test_without_a_margin_nothing_is_judged() -> None:
    split, blobs = planted(moved={0: 1.0})
    verdict = _of(_judge(split, Margins.none()), split, blobs, 0)
    assert verdict.verdict == UNDECIDED
    assert verdict.why == "no margin says what counts as nothing"
    assert verdict.low > 0.5


def test_the_same_seed_gives_the_same_bits() -> None:
    split, _ = planted(moved={0: 0.3})
    assert _judge(split).concepts == _judge(split).concepts


def test_refits_know_more_than_a_fixed_assignment() -> None:
    """Two blobs learned as three concepts: where the third lies is a matter of luck."""
    split, _ = planted(400, moved={0: 0.5, 1: 0.1})
    learner = KMeans(k=K + 1)
    found = refit(split, learner, learner.fit(split.base), draws=40)
    assert found.stability.min() < 0.9
    sure = refit(split, KMeans(k=K), KMeans(k=K).fit(split.base), draws=40)
    assert sure.stability.min() == 1.0


def test_simultaneous_intervals_are_wider_than_single_ones() -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(400, 30, 2, generator=rng).numpy()
    import numpy as np

    refits = Refits(values, np.ones((400, 30), dtype=bool))
    errors, width = simultaneous(np.zeros((30, 2)), refits)
    assert errors == pytest.approx(np.ones((30, 2)), abs=0.15)
    assert 2.9 < width < 3.6  # sixty hypotheses; one alone would have 1.96
