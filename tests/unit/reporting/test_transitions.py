"""Which answer became which: nothing is lost, and what is hidden is said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.builders import build_report

from shiftlens.core.errors import DataError
from shiftlens.core.intervals import wilson
from shiftlens.reporting.html import write_report
from shiftlens.reporting.numbers import percent_bounds
from shiftlens.reporting.transitions import Transitions, transitions_of

_HOSTILE = (
    "</td><script>alert(1)</script>\u202eevil\u202c \U0001f469\u200d\U0001f692" + "w" * 10_000
)


def _one(
    matrix: dict[str, dict[str, int]],
    changed: int | None = None,
    meant: list[dict[str, str]] | None = None,
    arm: str = "steered",
) -> Transitions:
    one: dict[str, Any] = {"transitions": {"(no type)": matrix}}
    if changed is not None:
        one["changed"] = {"(no type)": changed}
    (table,) = transitions_of({"changes": {"data": {arm: one}}, "meant": meant or []})
    return table


def test_rows_and_columns_add_up_and_what_was_meant_is_framed() -> None:
    matrix = {"yes": {"no": 9, "yes": 1}, "no": {"no": 5}}
    table = _one(matrix, 9, [{"before": "yes", "after": "no"}])
    assert [head.text for head in table.columns] == ["yes", "no"]
    assert [row.head.text for row in table.rows] == ["yes", "no"]
    assert [[cell.count for cell in row.cells] for row in table.rows] == [["1", "9"], ["", "5"]]
    assert [row.total for row in table.rows] == ["10", "5"]
    assert table.totals == ("1", "14", "15")
    assert [[cell.meant for cell in row.cells] for row in table.rows] == [
        [False, True],
        [False, False],
    ]
    assert [[cell.stays for cell in row.cells] for row in table.rows] == [
        [True, False],
        [False, True],
    ]
    assert table.said == "9 of 15 changed"
    assert table.rows[0].cells[1].text == "“yes” → “no”: 9 of 10 (90\u202f%), as was meant"


def test_cells_have_the_intervals_of_the_document_also_where_nothing_is(tmp_path: Path) -> None:
    data = build_report(tmp_path)
    tables = transitions_of(data["steering"]["yes-to-no"])
    rates = data["steering"]["yes-to-no"]["changes"]["yes-no"]["steered"]["rates"]["yes/no"]
    yes = next(one for one in tables if one.arm == "steered").rows[0]
    assert [cell.interval for cell in yes.cells] == [
        percent_bounds(rates["yes"]["after"][now]) for now in ("yes", "no")
    ]
    matrix = {"refused": {"answered": 22}, "answered": {"refused": 1}}
    one: dict[str, Any] = {"transitions": {"k": matrix}, "rates": {"k": _refused()}}
    (table,) = transitions_of({"changes": {"d": {"gated": one}}})
    assert table.has_intervals
    gone = table.rows[1]
    assert gone.head.text == "refused"
    assert [cell.interval for cell in gone.cells] == ["[85, 100]", ""]
    assert gone.cells[1].text == "“refused” → “refused”: 0 of 22 (0\u202f%, 95\xa0% [0, 15])"
    # The twin: a document without them says so.
    del one["rates"]
    assert not transitions_of({"changes": {"d": {"gated": one}}})[0].has_intervals


def _refused() -> dict[str, Any]:
    after = {"answered": wilson(22, 22).to_dict()}
    return {"refused": {"n": 22, "after": after, "none": wilson(0, 22).to_dict()}}


def test_every_interval_on_the_page_is_in_its_document(tmp_path: Path) -> None:
    page = write_report(build_report(tmp_path), tmp_path / "r.html", image_root=tmp_path)
    text = page.read_text("utf-8")
    (embedded,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)
    data = json.loads(embedded)
    allowed = {
        percent_bounds(one)
        for arms in data["steering"]["yes-to-no"]["changes"].values()
        for arm in arms.values()
        for rows in arm["rates"].values()
        for row in rows.values()
        for one in row["after"].values()
    }
    shown = re.findall(r'<span class="interval">(.*?)</span>', text)
    assert len(shown) >= 10
    assert set(shown) <= allowed
    assert "in brackets their 95&nbsp;% intervals" in text


def test_one_answer_of_many_still_has_a_colour() -> None:
    table = _one({"yes": {"yes": 999, "no": 1}}, 1)
    assert [cell.level for cell in table.rows[0].cells] == [5, 1]
    assert _one({"yes": {"yes": 3}}, 0).rows[0].cells[0].level == 5


def test_of_many_answers_the_rows_that_stayed_are_counted_and_left_out() -> None:
    matrix = {f"a{i}": {f"a{i}": 10} for i in range(8)}
    matrix["a3"] = {"a3": 8, "a4": 2}
    table = _one(matrix, 2)
    assert [row.head.text for row in table.rows] == ["a3"]
    assert {head.text for head in table.columns} == {"a3", "a4"}
    assert table.rest == "Not shown: 7 answers (70 samples), which all stayed."
    assert table.totals[-1] == "10"


def test_changes_among_rare_answers_are_not_called_stayed() -> None:
    rare = {**{f"a{i}": {f"a{i}": 10} for i in range(8)}, "(other)": {"(other)": 30}}
    known, unknown, none = _one(rare, 4), _one(rare), _one(rare, 0)
    assert known.said == "4 of 110 changed, 4 of them among rarer answers"
    assert known.rows[0].cells[0].text.endswith("; 4 of them changed to another rare answer")
    assert unknown.said == "0 of 110 changed (changes among rarer answers are not counted)"
    assert [row.head.text for row in unknown.rows] == ["(other)"]
    # The twin: where it is known that nothing changed, nothing is shown.
    assert none.rows == none.columns == ()


def test_baselines_come_last_and_silence_has_a_name() -> None:
    arms = {
        "random direction": {"transitions": {"(no type)": {"": {"": 2}}}},
        "steered": {"transitions": {"(no type)": {"": {"yes": 2}}}},
    }
    tables = transitions_of({"changes": {"data": arms}})
    assert [one.arm for one in tables] == ["steered", "random direction"]
    assert tables[0].rows[0].head.text == "(nothing)"


def test_what_is_meant_of_one_kind_is_framed_there_alone() -> None:
    matrix = {"answered": {"refused": 3}}
    one = {"transitions": {"dangerous": matrix, "harmless": matrix}}
    meant = [{"kind": "dangerous", "before": "answered", "after": "refused"}]
    tables = transitions_of({"changes": {"requests": {"gated": one}}, "meant": meant})
    assert [one.has_meant for one in tables] == [True, False]


def test_old_documents_have_no_tables() -> None:
    assert transitions_of({"figures": []}) == ()


def test_a_long_hostile_answer_is_a_short_head(tmp_path: Path) -> None:
    table = _one({_HOSTILE: {_HOSTILE: 1, "no": 2}}, 2)
    assert len(table.rows[0].head.text) <= 28
    assert len(table.rows[0].head.whole) <= 300
    assert len(table.rows[0].cells[0].text) < 200
    data = build_report(tmp_path)
    one = data["steering"]["yes-to-no"]
    one["changes"] = {_HOSTILE[:40]: {"steered": {"transitions": {"k<b>": {_HOSTILE: {"no": 2}}}}}}
    page = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    shown = page.split('<script type="application/json"')[0]
    assert "<script>alert" not in shown
    assert "k<b>" not in shown
    assert "w" * 400 not in shown


def test_the_page_shows_tables_and_the_front(tmp_path: Path) -> None:
    page = write_report(build_report(tmp_path), tmp_path / "r.html", image_root=tmp_path)
    text = page.read_text("utf-8")
    assert len(re.findall(r'<figure class="matrix">', text)) == 3
    assert "382 of 800 changed" in text
    assert re.search(r'<td class="level-5 meant" title="“yes” → “no”: 372 of 400', text)
    assert "Effect and side effects at 4 strengths" in text
    assert 'class="dot-chosen"><title>strength 1: effect 0.93 [0.90, 0.96], cost 0.010' in text
    assert len(re.findall(r"<tr class=\"is-chosen\"><th scope=\"row\">1</th>", text)) == 1


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("meant", [{"before": "yes"}], r"meant\[0\] lacks 'after'"),
        ("changes", {"d": {"a": {}}}, r"changes\.d\.a lacks 'transitions'"),
        ("changes", {"d": {"a": {"transitions": {"k": []}}}}, r"transitions\.k is not an object"),
        ("changes", {"d": {"a": {"transitions": {"k": {"yes": {"no": -1}}}}}}, "holds no counts"),
        ("changes", {"d": {"a": {"transitions": {"k": {"yes": {"no": True}}}}}}, "holds no counts"),
        (
            "changes",
            {"d": {"a": {"transitions": {}, "rates": {"k": {"yes": {"after": {}}}}}}},
            r"rates\.k\.yes lacks 'none'",
        ),
        ("chosen", 9, "names cells or a cost that it does not have"),
        ("fronts", {"accuracy": [0, -1]}, "names cells or a cost that it does not have"),
        ("against", "nothing", "names cells or a cost that it does not have"),
    ],
)
def test_a_broken_part_is_named(tmp_path: Path, key: str, value: Any, said: str) -> None:
    data = build_report(tmp_path)
    one = data["steering"]["yes-to-no"]
    (one if key in one else one["sweep"])[key] = value
    with pytest.raises(DataError, match=said):
        write_report(data, tmp_path / "r.html")
