"""Margins from placebos hold for one more placebo."""

import math

import numpy as np
import pytest

from shiftlens.core.errors import LearnError
from shiftlens.shift.margins import Margins


def test_one_more_placebo_stays_below_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(0)
    above_margin = above_largest = 0
    for _ in range(2000):
        placebos = np.exp(rng.normal(-1, 0.3, (6, 3, 2)))
        margins = Margins.from_placebos(list(placebos[:5]))
        worst = placebos.max(axis=1)
        above_margin += int(worst[5, 0] > margins.values["moved"])
        above_largest += int(worst[5, 0] > worst[:5, 0].max())
    assert above_margin / 2000 < 0.065
    assert above_largest / 2000 > 0.13, "twin: the largest of five is beaten once in six"


def test_the_margin_is_never_below_the_largest_placebo() -> None:
    found = [np.full((2, 2), 0.1), np.full((2, 2), 0.1), np.full((2, 2), 0.1)]
    assert Margins.from_placebos(found).values == pytest.approx({"moved": 0.1, "own": 0.1})


def test_concepts_without_pictures_are_left_out() -> None:
    found = [np.array([[np.nan, np.nan], [0.2, 0.1]])] * 3
    assert Margins.from_placebos(found).values["moved"] == pytest.approx(0.2)
    with pytest.raises(LearnError, match="no concept has enough pictures"):
        Margins.from_placebos([np.full((2, 2), np.nan)] * 3)


def test_effects_below_zero_are_placebos_too() -> None:
    found = [np.full((1, 2), value) for value in (-0.2, 0.0, 0.1)]
    assert Margins.from_placebos(found).values["moved"] >= 0.1


def test_two_placebos_do_not_tell_how_they_scatter() -> None:
    with pytest.raises(LearnError, match="2 placebos do not tell"):
        Margins.from_placebos([np.ones((1, 2))] * 2)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_named_margin_is_a_positive_number(margin: float) -> None:
    with pytest.raises(LearnError, match="is not possible"):
        Margins.named(margin)


def test_margins_can_be_written_down() -> None:
    assert Margins.named(0.3).to_dict() == {
        "moved": 0.3, "own": 0.3, "source": "user", "placebos": [],
    }  # fmt: skip
    assert math.isnan(Margins.none().values["moved"])
