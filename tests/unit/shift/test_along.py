"""Effects of several fine-tunes at once: each step is what it would be alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.shift.verdict_data import K, planted

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import MismatchError
from shiftlens.shift.along import Along, follow
from shiftlens.shift.drift import drift
from shiftlens.shift.refits import Split, reference_effects, refit
from shiftlens.shift.verdicts import simultaneous

LEARNER = KMeans(k=K)


def _scaled(split: Split, scale: float) -> Split:
    return split.with_delta(scale * split.delta, scale * split.judging_delta)


@pytest.fixture
def split() -> Split:
    """Three rows a picture, which fall into different concepts."""
    found, numbers = planted(240, moved={0: 0.6, 2: 0.2})[0], torch.arange(120) // 3
    return replace(found, groups=numbers, judging_groups=numbers)


def test_every_step_has_the_effects_that_it_has_alone(split: Split) -> None:
    steps = [_scaled(split, scale) for scale in (0.1, 1.0, 0.5)]
    learned = LEARNER.fit(split.base)
    labels = learned.assign(split.judging_base)
    found, every = Along.of(steps).effects(labels, K)
    assert found.shape == (K, 3, 2)
    for at, one in enumerate(steps):
        np.testing.assert_allclose(found[:, at], reference_effects(one, learned), rtol=1e-12)
        alone = drift(one, labels, K, draws=2).moved.estimate
        assert every[0, at, 0] == pytest.approx(alone, rel=1e-12)
    assert not np.allclose(found[:, 0], found[:, 1])


def test_with_one_step_the_refits_are_those_of_a_verdict(split: Split) -> None:
    learned = LEARNER.fit(split.base)
    verdict = refit(split, LEARNER, learned, seed=3, draws=12)
    along = follow(Along.of([split]), LEARNER, learned, seed=3, draws=12)
    np.testing.assert_array_equal(along.refits.values[:, :, 0], verdict.values)
    np.testing.assert_array_equal(along.refits.found, verdict.found)
    other = follow(Along.of([split]), LEARNER, learned, seed=4, draws=12)
    assert not np.array_equal(other.refits.values, along.refits.values, equal_nan=True)


def test_steps_share_their_resamples_and_do_not_touch_each_other(split: Split) -> None:
    learned = LEARNER.fit(split.base)
    half = _scaled(split, 0.5)
    both = follow(Along.of([split, half]), LEARNER, learned, draws=8)
    alone = follow(Along.of([split]), LEARNER, learned, draws=8)
    np.testing.assert_array_equal(both.refits.values[:, :, :1], alone.refits.values)
    # Effects are proportional to changes, so equal resamples give exactly half.
    np.testing.assert_allclose(both.refits.values[:, :, 1] * 2, both.refits.values[:, :, 0])
    np.testing.assert_allclose(both.whole_refits.values[:, :, 1] * 2,
                               both.whole_refits.values[:, :, 0])  # fmt: skip


def test_intervals_hold_what_was_planted_at_every_step_at_once() -> None:
    split, blobs = planted(800, moved={0: 0.6, 2: 0.2})
    doses = (0.0, 0.5, 1.0)
    learned = LEARNER.fit(split.base)
    found = follow(Along.of([_scaled(split, dose) for dose in doses]), LEARNER, learned, draws=40)
    errors, width = simultaneous(found.concepts, found.refits)
    labels = learned.assign(split.judging_base)
    for blob, far in ((0, 0.6), (1, 0.0), (2, 0.2), (3, 0.0)):
        concept = int(labels[blobs == blob].mode().values)
        for at, dose in enumerate(doses):
            half = width * errors[concept, at, 0]
            assert abs(found.concepts[concept, at, 0] - dose * far) <= half + 1e-12
            # Twin: nothing that was not planted is held, but at dose 0, where nothing is.
            assert abs(found.concepts[concept, at, 0] - dose * (far + 0.3)) > half or dose == 0


def test_progress_is_told(split: Split) -> None:
    heard: list[object] = []

    class Ear:
        def start(self, label: str, total: int) -> None:
            heard.append((label, total))

        def advance(self, n: int = 1) -> None:
            heard.append(n)

        def stop(self) -> None:
            heard.append("stop")

    follow(Along.of([split]), LEARNER, LEARNER.fit(split.base), draws=3, progress=Ear())
    assert heard == [("refits for intervals", 3), 1, 1, 1, "stop"]


def test_steps_of_another_base_are_refused(split: Split) -> None:
    other = planted(240, seed=1)[0]
    with pytest.raises(MismatchError, match="of another base, have no common curve"):
        Along.of([split, other])
    fewer = Split(
        split.base[1:], split.delta[1:], split.groups[:-1],
        split.judging_base, split.judging_delta, split.judging_groups,
    )  # fmt: skip
    with pytest.raises(MismatchError, match="row by row"):
        Along.of([split, fewer])
    assert Along.of([split, split]).delta.dtype == torch.float64
