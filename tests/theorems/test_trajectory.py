"""Theorems of trajectories on the shipped pair, each with a twin that must fail."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.shift.curves import Trajectory
from shiftlens.shift.margins import Margins
from shiftlens.shift.trajectory import Step, scales, trajectory
from shiftlens.world.source import materialise

SCALES = (0.0, 0.1, 0.3, 1.0)
SITE = Site(-1, tokens.mean_response())
OPTIONS: dict[str, Any] = {"learner": KMeans(k=2), "max_new_tokens": 12, "draws": 40}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return read(materialise("dog", tmp_path_factory.mktemp("world"), n=80, seed=3))


@pytest.fixture(scope="module")
def scaled(
    _pair: tuple[Model, Model], samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Trajectory:
    base, tuned = _pair
    out = tmp_path_factory.mktemp("scaled")
    margins = Margins.named(0.3)
    return trajectory(base, scales(tuned, SCALES), samples, SITE, out, margins=margins, **OPTIONS)


def _curve(found: Trajectory, index: int, end: str = "estimate") -> np.ndarray:
    points = found.concepts[index].curves["moved"].points
    return np.array([getattr(point, end) for point in points])


def test_at_scale_0_nothing_has_moved_to_the_bit(scaled: Trajectory) -> None:
    nothing = {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert scaled.axis == "scale"
    assert scaled.everything[0].to_dict() == nothing
    for one in scaled.concepts:
        for curve in one.curves.values():
            point = curve.points[0]
            assert {end: getattr(point, end) for end in nothing} == nothing
            assert point.verdict == "stable"
    # Twin: at a tenth of it something has.
    assert scaled.everything[1].low > 0
    assert all(one.curves["moved"].points[1].estimate > 0 for one in scaled.concepts)


def test_drift_grows_with_the_scale(scaled: Trajectory) -> None:
    every = [one.estimate for one in scaled.everything]
    assert every == sorted(every)
    assert scaled.everything[3].low > scaled.everything[1].high
    for index in range(len(scaled.concepts)):
        low, high = _curve(scaled, index, "low"), _curve(scaled, index, "high")
        assert (high[1:] >= low[:-1]).all(), "no step lies surely below the one before"
        assert low[3] > high[1]
        # Twin: read backwards, the same curve does fall.
        assert not (high[::-1][1:] >= low[::-1][:-1]).all()


def test_the_first_step_of_a_change_is_the_first_that_surely_exceeds_the_margin(
    scaled: Trajectory,
) -> None:
    for index, one in enumerate(scaled.concepts):
        above = _curve(scaled, index, "low") > 0.3
        expected = next((x for at, x in enumerate(SCALES) if above[at:].all()), None)
        assert one.curves["moved"].first_changed == expected
    assert {one.curves["moved"].first_changed for one in scaled.concepts} <= {0.3, 1.0}


def test_the_same_model_at_every_step_is_flat(
    pair: tuple[Model, Model], scaled: Trajectory, samples: Samples, tmp_path: Path
) -> None:
    base, tuned = pair
    steps: list[Step] = [(100, tuned), (200, tuned.at_scale(1.0)), (300, tuned)]
    found = trajectory(base, steps, samples, SITE, tmp_path, **OPTIONS)
    assert found.axis == "step"
    assert len({one.estimate for one in found.everything}) == 1
    for index, one in enumerate(found.concepts):
        for end in ("estimate", "low", "high"):
            assert len(set(_curve(found, index, end))) == 1
        # The tuned model is the tuned model, on whatever axis.
        assert one.curves["moved"].points[0].estimate == _curve(scaled, index)[-1]
        assert len(set(_curve(scaled, index))) == len(SCALES)  # twin: other models are not flat
