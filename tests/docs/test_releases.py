"""``python -m releases``: a wheel that holds what it must, and workflows that call what exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from releases.__main__ import _parser, _tag_faults, main
from releases.building import ROOT, known_files
from releases.contents import NEEDED, parts, wrong

_WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_WHOLE = [
    *("shiftlens/py.typed", "shiftlens/__init__.py", "shiftlens/world/demo.toml"),
    *(f"shiftlens/reporting/templates/page.{kind}" for kind in ("j2", "css", "js")),
    "shiftlens/playground/style.css",
    *(f"shiftlens/world/models/{one}/model.safetensors" for one in ("base", "judge")),
    "shiftlens/world/models/places/adapter_config.json",
]
_ABOUT = ["x.dist-info/licenses/LICENSE", "x.dist-info/entry_points.txt"]


def test_a_whole_wheel_is_right() -> None:
    assert wrong([*_WHOLE, *_ABOUT], _WHOLE) == []


@pytest.mark.parametrize("what", NEEDED)
def test_twin_whatever_is_needed_is_missed(what: str) -> None:
    import fnmatch

    without = [one for one in (*_WHOLE, *_ABOUT) if not fnmatch.fnmatch(one, NEEDED[what])]
    tracked = [one for one in without if ".dist-info" not in one]
    assert any(fault.startswith(f"{what} is missing") for fault in wrong(without, tracked))


@pytest.mark.parametrize(
    ("more", "tracked", "fault"),
    [
        (["shiftlens/stale.py"], [], "shiftlens/stale.py is not tracked, and came along"),
        ([], ["shiftlens/new.css"], "shiftlens/new.css is tracked, and was left behind"),
        (["tests/test_a.py"], ["tests/test_a.py"], "tests/test_a.py has no place in a wheel"),
    ],
)
def test_twin_other_files_are_found(more: list[str], tracked: list[str], fault: str) -> None:
    assert wrong([*_WHOLE, *_ABOUT, *more], [*_WHOLE, *tracked]) == [fault]


def test_parts_add_up() -> None:
    sizes = {name: at + 1 for at, name in enumerate([*_WHOLE, *_ABOUT])}
    found = parts(sizes)
    assert sum(part.size for part in found) == sum(sizes.values())
    assert sum(part.files for part in found) == len(sizes)


def test_only_what_git_knows_is_built() -> None:
    files = known_files("src/shiftlens")
    assert "src/shiftlens/py.typed" in files
    assert not [one for one in files if "__pycache__" in one or one.endswith(".pyc")]


def test_a_tag_is_that_of_the_version() -> None:
    assert _tag_faults("v9.9.9") == ["the tag v9.9.9 is not that of version 0.1.0"]


@pytest.mark.slow
def test_a_wheel_is_built_checked_installed_and_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--out", str(tmp_path / "dist")])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "installed into an environment of its own" in said
    assert re.search(r"shiftlens --help +\d", said)
    assert len(list((tmp_path / "dist").iterdir())) == 2


def _steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("path", _WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_exists(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    options = {one for action in _parser()._actions for one in action.option_strings}
    for command in (step["run"] for step in _steps(path) if "run" in step):
        for line in re.findall(r"(?m)^make (.+)$", command):
            assert set(line.split()) <= targets
        for line in re.findall(r"-m releases(.*)", command):
            assert set(re.findall(r"--[a-z]+", line)) <= options
        for program in re.findall(r"(?m)^(\.ci/\S+)", command):
            assert (ROOT / program).is_file()


def test_nothing_is_published_with_a_password_or_without_a_tag() -> None:
    assert [path.stem for path in _WORKFLOWS] == ["ci", "release"]
    for path in _WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert "secrets." not in text
        assert "://" not in text
    jobs = yaml.safe_load(_WORKFLOWS[1].read_text(encoding="utf-8"))["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build"
    assert "tag" in jobs["publish"]["if"]
    assert "permissions" not in jobs["build"], "what builds may not publish"
