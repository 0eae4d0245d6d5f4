"""docs/importing.md and docs/privacy.md are true: their commands and their Python run, in order."""

import re
import shlex
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.cli.main import app

_DOCS = Path(__file__).parents[2] / "docs"


def run_page(page: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Every block of a page in its order; gives what was printed."""
    text = (_DOCS / page).read_text(encoding="utf-8")
    for kind, block in re.findall(r"(?ms)^```(sh|python)\n(.*?)^```$", text):
        if kind == "python":
            exec(compile(block, page, "exec"), {})
            continue
        for line in block.splitlines():
            assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.slow
def test_the_importing_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_page("importing.md", capsys)
    assert "states of width" in said
    assert said.rstrip().endswith("True"), "the concepts are those of the harvest"
    assert Path("runs/concepts/concepts.json").is_file()


@pytest.mark.slow
def test_the_privacy_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = run_page("privacy.md", capsys)
    assert re.search(r"(?m)^sample-[0-9a-f]{16} hidden:[0-9a-f]{16}$", said)


def test_the_verbs_that_keep_names_out_are_those_of_the_page() -> None:
    from typer.main import get_command

    verbs = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    able = {
        name
        for name, verb in verbs.items()
        if any("--no-images" in getattr(one, "opts", ()) for one in verb.params)
    }
    text = (_DOCS / "privacy.md").read_text(encoding="utf-8")
    sentence = text.split("It means the same in", 1)[1].split(";", 1)[0]
    assert set(re.findall(r"`([a-z]+)`", sentence)) == able
