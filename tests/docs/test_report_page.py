"""docs/report.md is true: its commands and its Python run, in the order of the page."""

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.unit.reporting.combined_builders import build_results
from tests.unit.reporting.search_builders import build_search
from tests.unit.reporting.trajectory_builders import build_trajectory

from shiftlens.cli import main as cli
from shiftlens.reporting.documents import FILES

_PAGE = Path(__file__).parents[2] / "docs" / "report.md"


def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("search", "drift"):
        Path("runs", folder).mkdir(parents=True)
    search = build_search()
    Path("runs/search/search.json").write_text(json.dumps(search), encoding="utf-8")
    build_trajectory().save("runs/drift/trajectory.json")
    for place in build_results(tmp_path / "made"):
        called = {"run": "places", "training": "trajectory", "evaluated": "evaluation"}
        if place.name in called:
            place.rename(tmp_path / "runs" / called[place.name])
    text, known = _PAGE.read_text(encoding="utf-8"), dict[str, object]()
    for kind, block in re.findall(r"(?ms)^```(sh|python)\n(.*?)^```", text):
        if kind == "sh":
            for line in block.splitlines():
                assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
        else:
            exec(compile(block, "docs/report.md", "exec"), known)
    assert str(search["cells"][search["chosen"]]["effect"]) in capsys.readouterr().out
    assert "Evaluation: evaluation" in Path("places.html").read_text("utf-8")
    assert "Concepts along a training" in Path("drift.html").read_text("utf-8")


def test_every_file_that_has_a_page_is_in_its_table() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    assert [one for one in FILES if f"`{one}`" not in text] == []
