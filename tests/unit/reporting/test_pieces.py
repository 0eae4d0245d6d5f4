"""Charts, bars, sentences and word marks, each on its own."""

import itertools
import math
from typing import Any

import pytest
from tests.unit.reporting.builders import build_report

from shiftlens.core.errors import DataError
from shiftlens.reporting.changes import Compared, compare_words
from shiftlens.reporting.curves import HEIGHT, chart
from shiftlens.reporting.intervals import difference_bars, figure_bars
from shiftlens.reporting.numbers import clean, count, decimal, duration, percent, signed
from shiftlens.reporting.summary import findings, furthest


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (decimal(-0.126), "−0.13"),
        (decimal(-0.001), "0.00"),
        (decimal(math.nan), "—"),
        (decimal(None), "—"),
        (decimal(True), "—"),
        (signed(0.2), "+0.20"),
        (signed(-0.2), "−0.20"),
        (percent(0.123), "12\u202f%"),
        (percent(0.004), "0.4\u202f%"),
        (percent(0), "0\u202f%"),
        (count(12345), "12\u202f345"),
        (duration(0.42), "0.4\u202fs"),
        (duration(83.2), "83\u202fs"),
        (duration(725), "12\u202fmin 5\u202fs"),
    ],
)
def test_numbers_as_people_read_them(shown: str, text: str) -> None:
    assert shown == text


def test_cleaning_makes_json() -> None:
    given: Any = {"a": (1, math.nan), 2: {"b": math.inf, "c": True}}
    assert clean(given) == {"a": [1, None], "2": {"b": None, "c": True}}


def test_a_curve_is_where_its_values_are() -> None:
    found = chart("t", "y", [0, 1, 2], {"concept": [0.0, 1.0, 0.5], "global": [0.0, 0.5, 0.5]})
    assert found is not None
    own, other = found.lines
    assert (own.style, other.style) == ("concept", "global")
    assert [point.y for point in own.points] == [found.frame.bottom, found.frame.top, 134.0]
    assert [point.x for point in own.points] == [found.frame.left, 219.0, found.frame.right]
    assert found.y_ticks[0].text == "0.0"
    assert found.y_ticks[-1].text == "1.0"
    assert "concept at strength 1: 1.00" in own.points[1].text
    assert "concept 0.00, 1.00, 0.50" in found.description


def test_labels_never_cover_each_other() -> None:
    names = ("concept", "global", "shuffled", "affine", "permuted", "random", "mine")
    found = chart("t", "y", [0, 1], {name: [0.5, 0.5 + i / 500] for i, name in enumerate(names)})
    assert found is not None
    places = sorted(line.label_y for line in found.lines)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 15.9
    assert places[0] > 0
    assert places[-1] <= HEIGHT
    assert {line.style for line in found.lines} >= {"other"}


@pytest.mark.parametrize("values", [[None, None], [math.nan, math.nan]])
def test_nothing_known_is_no_chart(values: list[Any]) -> None:
    assert chart("t", "y", [0, 1], {"concept": values}) is None


def test_unknown_values_leave_a_gap_and_flat_curves_a_range() -> None:
    found = chart("t", "y", [0, 1, 2], {"concept": [0.3, None, 0.3]})
    assert found is not None
    assert len(found.lines[0].points) == 2
    assert len(found.y_ticks) >= 2


def test_shares_have_one_axis_and_larger_numbers_their_own() -> None:
    share, words = figure_bars(
        [
            {"label": "a", "estimate": 0.5, "low": 0.4, "high": 0.6, "role": "effect",
             "goal": ">= 0.80", "holds": False},
            {"label": "b", "estimate": 7.4, "low": 7.0, "high": 7.8, "role": "effect"},
        ]
    )  # fmt: skip
    assert (share.dot, share.start, share.length) == (50.0, 40.0, 20.0)
    assert share.goal is not None
    assert (share.goal.text, share.goal.at, share.goal.holds) == ("≥ 0.80", 80.0, False)
    assert not share.goal.crossed
    assert (words.low_end, words.high_end, words.goal) == ("0.00", "8.00", None)


def test_a_negative_share_opens_the_axis_for_all() -> None:
    first, second = figure_bars(
        [
            {"label": "a", "estimate": -0.02, "low": -0.04, "high": 0.01, "role": "x"},
            {"label": "b", "estimate": 0.5, "role": "x"},
        ]
    )
    assert first.low_end == second.low_end == "−0.10"
    assert first.zero == second.zero == pytest.approx(9.09)
    assert second.length is None
    assert second.interval == ""


def test_a_goal_that_the_interval_crosses_is_said() -> None:
    (one,) = figure_bars(
        [{"label": "a", "estimate": 0.85, "low": 0.75, "high": 0.9, "role": "x",
          "goal": "≥ .8", "holds": True}]
    )  # fmt: skip
    assert one.goal is not None
    assert one.goal.crossed
    (other,) = figure_bars([{"label": "a", "estimate": 1, "role": "x", "goal": "as before"}])
    assert other.goal is not None
    assert (other.goal.text, other.goal.at, other.goal.holds) == ("as before", None, None)


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(DataError, match="ends before it starts"):
        difference_bars([{"label": "a", "estimate": 0.2, "low": 0.3, "high": 0.1}])


def _marked(compared: Compared) -> tuple[list[str], list[str]]:
    sides = (compared.before, compared.after)
    left, right = ([run.text for run in side if run.changed] for side in sides)
    return left, right


@pytest.mark.parametrize(
    ("before", "after", "verdict", "went", "came"),
    [
        ("a man.", "A man .", "same", [], []),
        ("a man.", "a man on the beach.", "edited", [], ["on the beach"]),
        ("yes", "no", "edited", ["yes"], ["no"]),
        ("a b c d e f", "u v w x y z", "rewritten", [], []),
        ("", "no", "edited", [], ["no"]),
        ("his bike", "their bike", "edited", ["his"], ["their"]),
    ],
)
def test_changed_words(
    before: str, after: str, verdict: str, went: list[str], came: list[str]
) -> None:
    compared = compare_words(before, after)
    assert compared.verdict == verdict
    assert _marked(compared) == (went, came)
    assert "".join(run.text for run in compared.before) == before
    assert "".join(run.text for run in compared.after) == after


@pytest.fixture
def data(tmp_path: Any) -> dict[str, Any]:
    return build_report(tmp_path)


def test_a_control_that_is_not_beaten_is_said(data: dict[str, Any]) -> None:
    _, specific, _ = findings(data)
    assert specific.tone == "mixed"
    (line,) = specific.lines
    assert "one global shift for all concepts (+0.20 [0.15, 0.26])" in line
    assert (
        "but NOT measurably closer than one affine map of all states (+0.02 [−0.01, 0.05])" in line
    )


def test_every_control_beaten(data: dict[str, Any]) -> None:
    data["toi"]["person"]["recovery"]["concept_minus_affine"]["low"] = 0.01
    _, specific, _ = findings(data)
    assert specific.tone == "good"
    assert "NOT" not in specific.lines[0]


def test_no_control_beaten(data: dict[str, Any]) -> None:
    for name, value in data["toi"]["person"]["recovery"].items():
        if name.startswith("concept_minus_"):
            value["low"] = -0.01
    _, specific, _ = findings(data)
    assert specific.verdict == "Not shown"
    assert "closer to its tuned states" not in specific.lines[0]


def test_several_words_are_told_apart(data: dict[str, Any]) -> None:
    data["toi"]["dog"] = data["toi"]["person"]
    changed, specific, _ = findings(data)
    assert [line.split(":")[0] for line in changed.lines] == ["person", "dog"]
    assert [line.split(":")[0] for line in specific.lines] == ["person", "dog"]


def test_a_long_shift_without_agreement_is_not_the_furthest() -> None:
    noise = {"magnitude": 40.0, "consistency": 0.01}
    moved = {"magnitude": 10.0, "consistency": 0.8}
    alone = {"magnitude": 90.0, "consistency": None}
    assert furthest([noise, alone, moved]) is moved
    assert furthest([]) is None
