"""Names, order, sentences, axes and marks of a diff, each on its own."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.diff_builders import build_diff, interval, without_margin

from shiftlens.reporting.curves import chart
from shiftlens.reporting.diff_labels import (
    UNTRIED,
    concept_name,
    effect_label,
    is_looked_at,
    kind_label,
    looked_at,
    margin_in_words,
    most_moved_first,
    reasons,
    short_names,
)
from shiftlens.reporting.diff_summary import WHAT_TO_DO, diff_findings
from shiftlens.reporting.diff_views import answer_views, axis_of, ranked_views
from shiftlens.reporting.diff_where import layer_chart, module_parts, role_part, share_bars
from shiftlens.reporting.images import Pictures
from shiftlens.reporting.numbers import percent_bounds


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    return build_diff(tmp_path)


@pytest.mark.parametrize(
    ("base", "tuned", "said"),
    [
        ("world:base", "world:places", ("world:base", "world:places")),
        ("llava-hf/llava-1.5-7b-hf", "me/lora", ("llava-hf/llava-1.5-7b-hf", "me/lora")),
        ("/a/base", "./out/lora", ("base", "lora")),
        ("/a/run1/last", "/a/run2/last", ("run1/last", "run2/last")),
        ("C:\\models\\base", "C:\\models\\tuned", ("base", "tuned")),
        ("/same", "/same", ("/same", "/same")),
    ],
)
def test_models_have_short_names_that_differ(base: str, tuned: str, said: tuple[str, str]) -> None:
    assert short_names({"models": {"base": {"name": base}, "tuned": {"name": tuned}}}) == said


@pytest.mark.parametrize(
    ("tokens", "said", "name", "is_word"),
    [
        ({"kind": "end of response"}, "the end of the answer", "end of the answer", False),
        ({"kind": "last prompt"}, "the first token of the answer", "first token", False),
        ({"kind": "word", "words": ["Man", "woman"]}, "“Man” or “woman”", "man", True),
        ({"kind": "something new"}, "something new", "something new", True),
    ],
)
def test_the_site_in_words(tokens: dict[str, Any], said: str, name: str, is_word: bool) -> None:
    site = {"tokens": tokens}
    assert looked_at(site) == said
    found = is_looked_at({"name": name, "is_word": is_word}, site)
    assert found == (said != "something new")
    assert not is_looked_at({"name": "another", "is_word": is_word}, site)


def test_the_surely_most_moved_stand_first_and_unknown_ones_last() -> None:
    def one(name: str, low: float | None, estimate: float | None) -> dict[str, Any]:
        return {"name": name, "moved": {"low": low, "estimate": estimate}}

    given = [one("a", None, None), one("b", 0.1, 9.0), one("c", 2.0, 2.1), one("d", -1.0, 0.0)]
    assert [found["name"] for found in most_moved_first(given)] == ["c", "b", "d", "a"]


def test_no_visible_effect_is_said_only_of_what_was_tried() -> None:
    """Nothing seen because nothing was looked for is not "nothing to see"."""
    assert effect_label({"effect": "no visible effect", "n_steered": 40}) == "no visible effect"
    assert effect_label({"effect": "no visible effect", "n_steered": 0}) == UNTRIED
    more = "answers changed more here"
    assert effect_label({"effect": more, "n_steered": 0}) == more


def test_a_kind_is_named_only_where_there_is_one() -> None:
    assert kind_label({"kind": None}) == ""
    assert kind_label({"kind": "moved, kind undecided"}) == "kind undecided"
    assert kind_label({"kind": "split"}) == "split"


def test_reasons_are_said_once(data: dict[str, Any]) -> None:
    one = data["concepts"][0]
    assert reasons(one) == ()
    open_ = {"verdict": "undecided", "why": "the interval holds the margin", "pictures": 41}
    one["moved"] |= {**open_, "needs": 180}
    told = "the interval holds the margin; about 180 pictures needed"
    assert reasons(one) == (f"moved: {told}, 41 here",)
    one["own"] |= {**open_, "needs": 180}
    assert reasons(one) == (f"{told}, 41 here",)
    one["own"] |= {"needs": None}
    assert reasons(one) == (
        f"moved: {told}, 41 here",
        "own move: the interval holds the margin",
    )
    assert all(reasons(one) == () for one in without_margin(data)["concepts"])


def test_margins_in_words() -> None:
    user = {"moved": 0.3, "own": 0.3, "source": "user", "placebos": []}
    assert margin_in_words(user) == "0.30 spreads, named by the user"
    many = {"moved": 0.3, "own": 0.2, "source": "placebos", "placebos": [1, 2, 3, 4, 5]}
    assert margin_in_words(many) == "0.30 (own move 0.20) spreads, from 5 placebos"


def test_a_concept_without_words_has_a_number() -> None:
    bare: dict[str, Any] = {"contrastive_base": [], "words_base": [], "index": 7}
    assert concept_name(bare) == "concept 7"
    assert concept_name({**bare, "words_base": ["a", "b", "c"]}) == "a, b"


def test_percent_bounds() -> None:
    assert percent_bounds({"low": 0.994, "high": 1.0}) == "[99, 100]"
    assert percent_bounds({"low": None, "high": 1.0}) == ""


def test_findings_are_three_and_say_what_is_there(data: dict[str, Any]) -> None:
    answers, concepts, visible = diff_findings(data)
    assert answers.verdict == "50\u202f% of 600 answers"
    assert "most of it at the end of the answer" in answers.lines[1]
    assert concepts.verdict == "7 of 12 concepts changed, 3 undecided"
    assert "where 0.50 counts as nothing (from 3 placebos)" in concepts.lines[0]
    assert concepts.lines[1].startswith("5 of 12 moved otherwise than all samples together did")
    assert visible.verdict == "Undone by +0.32 for 3 of 3 concepts tried"
    assert visible.tone == "plain", "a gain that is sure need not be large"


def test_findings_without_a_margin_judge_nothing(data: dict[str, Any]) -> None:
    concepts = diff_findings(without_margin(data))[1]
    assert concepts.verdict == "Not judged: no margin says what counts as nothing"
    assert concepts.lines[-1] == WHAT_TO_DO
    assert "counts as nothing (" not in concepts.lines[0]


@pytest.mark.parametrize(
    ("restored", "difference", "tried", "said"),
    [
        (0.3, 0.2, 2, "Undone by +0.30 for 2 of 2 concepts tried"),
        (0.0, 0.2, 2, "It shows, and was not undone"),
        (0.0, 0.0, 2, "No visible effect"),
        (0.0, 0.0, 0, "Undoing not tried"),
        (0.0, 0.2, 0, "Shows in 2 of 2; undoing not tried"),
    ],
)
def test_what_shows_is_told_from_what_was_tried(
    data: dict[str, Any], restored: float, difference: float, tried: int, said: str
) -> None:
    data["concepts"] = data["concepts"][:2]
    for one in data["concepts"]:
        effect = "answers restored" if restored else "no visible effect"
        effect = "answers changed more here" if difference and not restored else effect
        one["visible"] |= {
            "effect": effect,
            "n_steered": 30 if tried else 0,
            "difference": interval(difference),
            "restored_minus_random": interval(restored) if tried else None,
            "whole": interval(0.2) if tried else None,
        }
    found = diff_findings(data)[2]
    assert found.verdict == said
    told = any("not tried for 2 of 2" in line for line in found.lines)
    assert told == (not tried)


def test_the_axis_holds_zero_every_interval_and_every_margin(data: dict[str, Any]) -> None:
    axis = axis_of(data["concepts"])
    assert axis.low <= -0.2
    assert axis.high >= 2 * 11 / 12 + 0.2
    assert axis.place(0.0) == pytest.approx(100 * -axis.low / (axis.high - axis.low), abs=0.01)
    assert "0.0" in [text for _, text in axis.ticks]
    assert axis.place(None) is None
    places = [at for at, _ in axis.ticks]
    assert places[0] == 0.0
    assert places[-1] == 100.0
    far = {"estimate": 0.1, "low": 0.0, "high": 0.2, "margin": 40.0}
    assert axis_of([{"moved": far, "own": far}]).high >= 40
    assert axis_of([]).high > axis_of([]).low


def test_ranked_bars_are_shares_of_the_first(data: dict[str, Any]) -> None:
    found = ranked_views(data)
    assert [one.length for one in found] == [1.0, pytest.approx(0.18), pytest.approx(0.0004)]
    assert [one.chosen for one in found] == [True, False, False]


def test_marks_name_words_only_where_these_are_tokens(data: dict[str, Any]) -> None:
    (first, *_) = answer_views(data, Pictures())
    assert [mark.text for mark in first.marks] == ["three", "people", "sitting", "end"]
    assert [mark.height for mark in first.marks] == [0.025, 0.05, 0.0, 1.0]
    assert first.by_word
    data["answers"]["examples"][0]["divergence"] = [0.1] * 6
    assert [mark.text for mark in answer_views(data, Pictures())[0].marks] == [""] * 6
    data["answers"]["examples"][0]["tokens"] = ["three", "peo", "ple", "sit", "ting"]
    named = answer_views(data, Pictures())[0]
    assert [mark.text for mark in named.marks][-2:] == ["ting", "end"]
    data["answers"]["cut_off"]["base"] = 1  # then a state more than words may be half a word
    assert not answer_views(data, Pictures())[1].by_word


def test_changed_words_are_marked(data: dict[str, Any]) -> None:
    compared = answer_views(data, Pictures())[0].compared
    assert [run.text for run in compared.after if run.changed] == ["in the snow"]
    assert not any(run.changed for run in compared.before)


def test_the_layer_chart_has_bands(data: dict[str, Any]) -> None:
    found = layer_chart(data)
    assert found is not None
    assert [line.name for line in found.lines] == ["all together", "each apart"]
    assert all(line.band.startswith("M") and line.band.endswith("Z") for line in found.lines)
    assert "all together at layer 5: 1.00" in found.lines[0].points[-1].text
    assert "strength" not in found.description + found.x_label
    data["by_layer"] = data["by_layer"][:1]
    assert layer_chart(data) is None


def test_a_band_needs_two_known_intervals() -> None:
    found = chart("t", "y", [0, 1], {"own": [0.5, 0.6]}, bands={"own": [(0.4, 0.6), (None, 0.7)]})
    assert found is not None
    assert found.lines[0].band == ""


def test_roles_and_modules(data: dict[str, Any]) -> None:
    roles = role_part(data)
    assert roles is not None
    assert [[bar.label for bar in bars] for _, bars in roles.groups] == [["image tokens"]] * 2
    assert roles.missing == ("prompt text: no sample has such tokens",)
    by_kind, by_block = module_parts(data)
    assert [title for title, _ in by_kind.groups] == ["What is left without it",
                                                      "What it does alone"]  # fmt: skip
    assert [bar.estimate for bar in by_kind.groups[0][1]] == ["0.90", "0.70"]
    assert [bar.label for bar in by_block.groups[0][1]] == ["block 0 (6)", "block 1 (6)"]
    data["where"] = {"roles": [], "modules": None, "reason": "no adapter"}
    assert role_part(data) is None
    assert module_parts(data) == ()


def test_shares_have_one_axis_with_zero(data: dict[str, Any]) -> None:
    bars = share_bars(data)
    assert [bar.estimate for bar in bars] == ["+0.70", "+0.50", "−0.20"]
    assert len({bar.zero for bar in bars}) == 1
    assert bars[0].length is None, "no interval is made up"
    data["weights_or_words"] = None
    assert share_bars(data) == ()
