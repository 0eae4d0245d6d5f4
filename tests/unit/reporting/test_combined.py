"""Several results in one file: every number of each, ids of their own, and models told apart."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.combined_builders import build_results

from shiftlens.cli.main import run_app
from shiftlens.core.errors import DataError
from shiftlens.reporting.combined import draw_files, models_of

_HOSTILE = '</script><script>alert(1)</script> id="part-1" href="#main" \u202e'


def _embedded(page: str) -> dict[str, Any]:
    return json.loads(page.split('id="data">', 1)[1].split("</script>", 1)[0])


def test_every_result_is_there_with_its_numbers_and_ids_of_its_own(tmp_path: Path) -> None:
    places = build_results(tmp_path)
    page = draw_files(places, tmp_path / "all.html", title="All <of> it").read_text("utf-8")
    found = _embedded(page)
    assert (found["schema"], found["kind"]) == (1, "report")
    read = [json.loads(next(one.glob("*.json")).read_text("utf-8")) for one in places]
    assert [one["document"] for one in found["results"]] == read
    shown = page.split('<script type="application/json"')[0]
    ids = Counter(re.findall(r'\sid="([^"]*)"', shown))
    assert [one for one, n in ids.items() if n > 1] == []
    for name in ("href", "data-list", "aria-labelledby", "for"):
        named = re.findall(rf'\s{name}="#?([^"]*)"', shown)
        assert named, name
        lost = {one for many in named for one in many.split() if not one.startswith("data:")}
        assert lost <= set(ids), name
    assert len(re.findall(r'<article class="result of-', shown)) == 5
    assert "All &lt;of&gt; it" in shown
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", shown)


def test_parts_say_what_they_are_and_styles_stay_within_their_kind(tmp_path: Path) -> None:
    page = draw_files(build_results(tmp_path), tmp_path / "all.html").read_text("utf-8")
    for title in ("Run: run", "Trajectory: training", "Evaluation: evaluated", "Search: searched"):
        assert f'aria-label="{title}"' in page
        assert f"Sections: {title}" in page
    assert page.count(":where(.of-run) {") == 1
    style = page.split("<style>")[1].split("</style>")[0]
    assert style.count("{") == style.count("}")


def test_different_models_are_said_and_the_same_one_is_not(tmp_path: Path) -> None:
    same = draw_files(build_results(tmp_path / "a"), tmp_path / "a.html").read_text("utf-8")
    assert "of different models" not in same
    places = build_results(tmp_path / "b", base="somebody/else")
    other = draw_files(places, tmp_path / "b.html").read_text("utf-8")
    assert "These results are of different models" in other
    assert '<b class="text">somebody/else</b>: <span class="text">Run: run</span>' in other
    assert models_of({"kind": "choice"}) == ()


def test_the_same_result_twice_is_refused(tmp_path: Path) -> None:
    run, training, *_ = build_results(tmp_path)
    with pytest.raises(DataError, match=r"is the same result as .*run"):
        draw_files([run, training, run / "metrics.json"], tmp_path / "all.html")
    copy = tmp_path / "copy.json"
    copy.write_text((run / "metrics.json").read_text("utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match=r"copy\.json is the same result as"):
        draw_files([run, copy], tmp_path / "all.html")
    # The twin: two runs that differ in one number are two results.
    changed = {**json.loads(copy.read_text("utf-8")), "seed": 4711}
    copy.write_text(json.dumps(changed), encoding="utf-8")
    assert draw_files([run, copy], tmp_path / "all.html").exists()


def test_a_damaged_result_is_one_sentence_and_writes_nothing(tmp_path: Path) -> None:
    run, training, *_ = build_results(tmp_path)
    (training / "trajectory.json").write_text('{"kind": "trajectory", "schema": 1}', "utf-8")
    with pytest.raises(DataError, match="lacks"):
        draw_files([run, training], tmp_path / "all.html")
    assert not (tmp_path / "all.html").exists()


def test_hostile_words_are_text_and_name_nothing(tmp_path: Path) -> None:
    run, training, *_ = build_results(tmp_path)
    data = json.loads((run / "metrics.json").read_text("utf-8"))
    data["title"] = data["steering"]["yes-to-no"]["title"] = _HOSTILE
    (run / "metrics.json").write_text(json.dumps(data), encoding="utf-8")
    page = draw_files([run, training], tmp_path / "all.html", title=_HOSTILE).read_text("utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    assert page.count('id="part-1"') == 1


def test_the_verb_takes_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, training, *_ = build_results(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run_app(["report", str(run), str(training), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == "report.html"
    assert len(told["numbers"]) == 2
    assert run_app(["report", str(run), "--title", "x"]) == 2
    assert "--title for one result" in capsys.readouterr().err
    assert run_app(["report", str(run), str(run)]) == 2
    assert "is the same result as" in capsys.readouterr().err
