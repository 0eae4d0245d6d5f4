"""Settings as lines of Python that run, and as archives that need nothing else."""

import contextlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.unit.playground.builders import HOSTILE, build_run

import shiftlens as sl
from shiftlens.data.images import open_image
from shiftlens.models.model import Model
from shiftlens.playground.desk import Desk
from shiftlens.playground.library import Library
from shiftlens.playground.lines import Line
from shiftlens.playground.markup import receipt
from shiftlens.playground.setting import Setting


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _tiny: Model) -> Path:
    return build_run(tmp_path_factory.mktemp("run"), _tiny)


def _setting(run: Path, tiny_path: Path, title: str, **more: Any) -> Setting:
    found = Library.open(run).directions.values()
    direction = next(one for one in found if title in one.title)
    asked = {one: more.pop(one) for one in ("picture", "uploaded", "times") if one in more}
    chosen: dict[str, Any] = {"layer": direction.layers[0], "strength": 3.5, **more}
    line = Line(direction, root=run, **chosen)
    fields: dict[str, Any] = {
        "model": str(tiny_path),
        "prompt": "what is 'this' ?\n\"\\n\"",
        "lines": (line,),
        "picture": str(run / "pictures" / "picture-1.png"),
        "max_new_tokens": 6,
        **asked,
    }
    return Setting(**fields)


def _printed(code: str, **names: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "steer.py", "exec"), names)
    return out.getvalue()


def _expected(tiny: Model, setting: Setting) -> str:
    picture = open_image(setting.picture) if setting.picture else None
    last = list(Desk(tiny).answers(setting, picture))[-1]
    return f"{last.unsteered}\n{last.steered}\n{last.receipt.summary()}\n"


@pytest.mark.parametrize("title", ["louder", "“cat”", HOSTILE[:9]])
def test_the_lines_run_as_they_stand(tiny: Model, tiny_path: Path, run: Path, title: str) -> None:
    setting = _setting(run, tiny_path, title)
    assert _printed(setting.to_python()) == _expected(tiny, setting)


def test_the_layer_and_strength_are_those_that_were_set(
    tiny: Model, tiny_path: Path, run: Path
) -> None:
    said = _printed(_setting(run, tiny_path, "louder", layer=3, strength=-2.25).to_python())
    assert "after block 3" in said
    assert "strength -2.25" in said


def test_the_archive_runs_anywhere(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = _setting(run, tiny_path, "“cat”", uploaded=True)
    content = setting.archive(open_image(str(setting.picture)), tiny)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir("/")
    code = (tmp_path / "steer.py").read_text()
    assert _printed(code, __file__=str(tmp_path / "steer.py")) == _expected(tiny, setting)
    told = json.loads((tmp_path / "setting.json").read_text())
    (line,) = told["lines"]
    assert line["strength"] == 3.5
    assert line["direction"]["source"] == "words/shift"


_HOW: list[tuple[str, dict[str, Any]]] = [
    ("two out", {}),
    ("two out", {"operator": "ablate"}),
    ("concept 2 -> 0", {}),
    ("louder", {"operator": "ablate", "scope": "all"}),
    ("louder", {"operator": "move-to:-1.5", "gate": "prompt:this"}),
    ("louder", {"layer": 3, "gate": "not:says:dog"}),
    ("louder", {"gate": "not:prompt:probe:x"}),
    ("louder", {"gate": "probe:gates/open"}),
    ("louder", {"gate": "not:probe:gates/open"}),
]


@pytest.mark.parametrize(("title", "how"), _HOW)
def test_operators_scopes_and_gates_are_kept(
    tiny: Model, tiny_path: Path, run: Path, tmp_path: Path, title: str, how: dict[str, Any]
) -> None:
    """Lines and archive give the answers and the receipt that the page gave."""
    if "probe:gates" in how.get("gate", ""):
        how = {**how, "probe": Library.open(run).found.gates["gates/open"]}
    setting = _setting(run, tiny_path, title, **how)
    expected = _expected(tiny, setting)
    assert _printed(setting.to_python()) == expected
    content = setting.archive(open_image(str(setting.picture)), tiny)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    code = (tmp_path / "steer.py").read_text()
    assert str(run) not in code
    assert _printed(code, __file__=str(tmp_path / "steer.py")) == expected
    told = json.loads((tmp_path / "setting.json").read_text())
    assert told["schema"] == 3
    (line,) = told["lines"]
    assert line["operator"] == (None if title == "two out" else how.get("operator", "add"))
    assert (line["gate"] is None) == ("gate" not in how)
    with sl.steer(tiny, sl.Steering.load(tmp_path / "steering")) as whole:
        said = tiny.generate(setting.picture, setting.prompt, max_new_tokens=6)
    assert expected.endswith(f"\n{said}\n{whole.summary()}\n")


def test_a_closed_gate_leaves_the_answer_as_it_was(tiny: Model, tiny_path: Path, run: Path) -> None:
    probe = Library.open(run).found.gates["gates/closed"]
    setting = _setting(run, tiny_path, "louder", gate="probe:gates/closed", probe=probe)
    last = list(Desk(tiny).answers(setting, open_image(str(setting.picture))))[-1]
    assert last.steered == last.unsteered
    assert "The gate stayed closed" in receipt(last.receipt)
    opened = Library.open(run).found.gates["gates/open"]
    setting = _setting(run, tiny_path, "louder", gate="probe:gates/open", probe=opened)
    last = list(Desk(tiny).answers(setting, open_image(str(setting.picture))))[-1]
    assert "<dt>Gate</dt><dd>open</dd>" in receipt(last.receipt)


def test_a_question_without_a_picture_has_none(tiny: Model, tiny_path: Path, run: Path) -> None:
    setting = _setting(run, tiny_path, "louder", picture=None)
    assert _printed(setting.to_python()) == _expected(tiny, setting)
    with zipfile.ZipFile(io.BytesIO(setting.archive(None, tiny))) as archive:
        assert "picture.png" not in archive.namelist()


def test_twin_another_strength_says_something_else(tiny: Model, tiny_path: Path, run: Path) -> None:
    lines = [_setting(run, tiny_path, "louder", strength=s).to_python() for s in (3.5, -3.5)]
    assert _printed(lines[0]) != _printed(lines[1])
