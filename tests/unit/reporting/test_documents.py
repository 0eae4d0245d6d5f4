"""Every result of ours has a page; everything else is refused in a sentence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.reporting.builders import build_report
from tests.unit.reporting.diff_builders import build_diff
from tests.unit.reporting.evaluation_builders import build_discovery, build_evaluation
from tests.unit.reporting.explaining_builders import build_explanation
from tests.unit.reporting.search_builders import build_search
from tests.unit.reporting.trajectory_builders import build_drift, build_trajectory

import shiftlens as sl
from shiftlens.cli.main import run_app
from shiftlens.core.errors import DataError, StoreError
from shiftlens.reporting.documents import FILES, draw_file
from shiftlens.reporting.trajectory_page import write_trajectory_page

_HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"
    "\u202eright to left\u202c \U0001f469\u200d\U0001f692\u2067"
)


def _documents(root: Path) -> dict[str, dict[str, Any]]:
    return {
        "metrics.json": build_report(root),
        "diff.json": build_diff(root),
        "search.json": build_search(),
        "evaluation.json": build_evaluation("pictures/0.png").to_dict(),
        "discovery.json": build_discovery().to_dict(),
        "trajectory.json": build_trajectory().to_dict(),
        "drift.json": build_drift(word=_HOSTILE),
        "explanation.json": build_explanation(root),
    }


def _poisoned(value: Any) -> Any:
    """Hostile text in everything that a model, a file or a person may have written."""
    free = {"text", "prompt", "response", "label", "title", "question", "answer", "unsteered",
            "steered", "base", "tuned", "summary", "why", "source", "target", "id"}  # fmt: skip
    if isinstance(value, dict):
        return {
            key: _HOSTILE if key in free and isinstance(item, str) else _poisoned(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        if value and all(isinstance(one, str) for one in value):
            return [_HOSTILE, *value[1:]]
        return [_poisoned(one) for one in value]
    return value


@pytest.mark.parametrize("name", [one for one in FILES if one != "choice.json"])
def test_a_directory_of_results_has_its_page(tmp_path: Path, name: str) -> None:
    document = _documents(tmp_path)[name]
    (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    page = draw_file(tmp_path, tmp_path / "page.html").read_text("utf-8")
    held = page.split('id="data">', 1)[1].split("</script>", 1)[0]
    assert json.loads(held) == json.loads(json.dumps(document))
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page.split('id="data"')[0])


@pytest.mark.parametrize(
    "name", ["evaluation.json", "discovery.json", "trajectory.json", "drift.json"]
)
def test_hostile_text_is_shown_as_text(tmp_path: Path, name: str) -> None:
    document = _poisoned(json.loads(json.dumps(_documents(tmp_path)[name])))
    (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
    page = draw_file(tmp_path / name, tmp_path / "page.html").read_text("utf-8")
    shown = page.split('<script type="application/json"')[0]
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("</script>") == 2


def test_a_picture_of_an_evaluation_is_inside_and_a_lost_one_is_a_box(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "red").save(tmp_path / "p.png")
    for picture, found in (("p.png", 1), ("nowhere.png", 0)):
        file = tmp_path / "evaluation.json"
        file.write_text(json.dumps(build_evaluation(picture).to_dict()), encoding="utf-8")
        page = draw_file(file, tmp_path / "page.html").read_text("utf-8")
        assert page.count("<symbol") == found
        assert page.count('class="tile missing') == 1 - found


def test_the_page_of_an_evaluation_says_what_was_measured(tmp_path: Path) -> None:
    page = sl.report(build_evaluation(), tmp_path / "e.html").read_text("utf-8")
    assert '<p class="verdict text">steered: 0.90 [0.85, 0.95]</p>' in page
    assert "+0.85 [0.80, 0.90] above random directions" in page
    assert "2 of 4 side effects are worse" in page
    assert "steered, number: answers that are right −0.25 [−0.30, −0.20]" in page
    assert "instruction, yesno: word triples said before +0.20" in page
    assert 'class="level-4 meant"' in page
    assert "<b>Mind:</b> mind this" in page
    # Only an answer that would push all others off the screen scrolls in a box.
    assert page.count('class="long"') == 1
    assert '<span class="soft">(nothing)</span>' in page


def test_the_page_of_directions_marks_those_above_chance(tmp_path: Path) -> None:
    page = sl.report(build_discovery(), tmp_path / "d.html").read_text("utf-8")
    assert '<p class="verdict text">2 of 15</p>' in page
    assert page.count('<tr class="meaningful">') == 2
    assert "4 random directions as long score at most 18" in page
    assert "red &lt;b&gt; (5 → 45)" in page
    assert "3 more, with lower scores" in page
    empty = sl.report(build_discovery(0), tmp_path / "d.html").read_text("utf-8")
    assert "There is no direction." in empty


def test_the_page_of_a_trajectory_says_from_when_on(tmp_path: Path) -> None:
    page = sl.report(build_trajectory(words="<i>surf"), tmp_path / "t.html").read_text("utf-8")
    assert '<p class="verdict text">from step 500 on: &lt;i&gt;surf, beach, kitchen</p>' in page
    assert "3 of 5 have changed by the end and stay so." in page
    assert "The margin of 0.30 spreads was named by the user" in page
    rows = re.findall(r'<td class="since">([^<]*)</td>', page)
    assert rows[:3] == ["step 500", "step 750", "step 1500"]
    assert set(rows[3:]) <= {"undecided", "stable"}
    assert "about 80 pictures of it would decide" in page
    assert "fewer than 10 pictures of it" in page
    scaled = build_trajectory(axis="scale", source="none")
    page = sl.report(scaled, tmp_path / "t.html").read_text("utf-8")
    assert '<p class="verdict text">nothing is judged</p>' in page
    assert "Concepts along one adapter’s scale" in page


def test_the_page_of_a_training_shows_every_look(tmp_path: Path) -> None:
    page = sl.report(build_drift(), tmp_path / "d.html").read_text("utf-8")
    assert '<p class="verdict text">0-beach: 1.00</p>' in page
    assert "0.50" in page
    assert page.count("<figure") == 3, "all states, and the two concepts that are known"
    assert "it has fewer than two pictures in the probe" in page
    empty = sl.report(build_drift(0), tmp_path / "d.html").read_text("utf-8")
    assert "Nobody looked yet." in empty


def test_a_trajectory_without_steps_or_concepts_says_so(tmp_path: Path) -> None:
    document = build_trajectory(k=0).to_dict()
    page = write_trajectory_page(document, tmp_path / "t.html").read_text("utf-8")
    assert "There is no concept." in page
    bare = {**document, "steps": [], "everything": [], "answers": None}
    assert "No step was measured." in write_trajectory_page(bare, tmp_path / "t.html").read_text()


def test_anything_else_is_refused_with_what_is_taken(tmp_path: Path) -> None:
    taken = "ConceptShift, Search, Evaluation, Discovery, Trajectory, Explanation, Choice"
    with pytest.raises(DataError, match=f"no page is drawn of a KMeans\n  {taken}"):
        sl.report(sl.KMeans(k=3), tmp_path / "p.html")  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="no page is drawn of 'poem'\n  run, diff, search"):
        sl.report({"kind": "poem"}, tmp_path / "p.html")
    with pytest.raises(DataError, match="samples or a title for the page of a Discovery"):
        sl.report(build_discovery(), tmp_path / "p.html", title="mine")
    assert not (tmp_path / "p.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("metrics.json", "{", StoreError, "is not valid JSON"),
        ("metrics.json", "", StoreError, "is not valid JSON"),
        ("metrics.json", "[1]", DataError, "holds a list"),
        ("search.json", '{"kind": "search", "schema": 1}', DataError, "lacks 'about'"),
        ("search.json", '{"kind": "search", "schema": 9}', DataError, "schema 9 is no search"),
        ("evaluation.json", '{"kind": "diff", "schema": 1}', DataError, "lacks"),
        ("evaluation.json", '{"a": 1}', DataError, "no page is drawn of None"),
    ],
)
def test_a_damaged_file_is_one_sentence(
    tmp_path: Path, name: str, content: str, error: type[Exception], said: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(error, match=said):
        draw_file(tmp_path, tmp_path / "p.html")


@pytest.mark.parametrize("name", list(FILES)[2:7])
def test_no_missing_part_is_a_traceback(tmp_path: Path, name: str) -> None:
    whole = {
        "search.json": build_search,
        "evaluation.json": lambda: build_evaluation().to_dict(),
        "discovery.json": lambda: build_discovery().to_dict(),
        "trajectory.json": lambda: build_trajectory().to_dict(),
        "drift.json": build_drift,
    }[name]()
    for key in whole:
        broken = [{k: v for k, v in whole.items() if k != key}, {**whole, key: 7}]
        for one in broken:
            (tmp_path / name).write_text(json.dumps(one), encoding="utf-8")
            # Some keys may be absent; what is not drawn must be said, not thrown.
            assert run_app(["report", str(tmp_path), "--quiet"]) in (0, 2)


def test_the_verb_finds_the_file_and_says_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "search.json").write_text(json.dumps(build_search()), encoding="utf-8")
    assert run_app(["report", str(tmp_path)]) == 0
    assert f"a search, 0.0 MB: {tmp_path / 'report.html'}" in capsys.readouterr().out
    assert run_app(["report", str(tmp_path), "-o", str(tmp_path / "p.html"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == str(tmp_path / "p.html")
    assert told["bytes"] == (tmp_path / "p.html").stat().st_size


def test_the_verb_refuses_an_empty_directory_and_several_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "holds nothing that a page is drawn of" in said
    assert "trajectory.json (a trajectory)" in said
    for name in ("search.json", "trajectory.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert run_app(["report", str(tmp_path)]) == 2
    assert "holds several results: search.json, trajectory.json" in capsys.readouterr().err
    assert run_app(["report", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
