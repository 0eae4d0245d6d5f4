"""docs/learn.md is true: its commands and its Python run, in the order of the page."""

import re
import shlex
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.cli.learner_options import known_learners
from shiftlens.concepts.space import SPACES

_PAGE = Path(__file__).parents[2] / "docs" / "learn.md"


def _blocks(kind: str) -> list[str]:
    text = _PAGE.read_text(encoding="utf-8")
    found = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text)
    return [block for name, block in found if name == kind]


@pytest.mark.slow
def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in "".join(_blocks("sh")).splitlines():
        assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    # Verdicts as the page says; numbers may differ in their last digits elsewhere.
    shown = re.findall(r"(?m)^ ?(\d+) .* (stable|unstable|chosen)$", _blocks("")[0])
    assert len(shown) == 3
    for k, verdict in shown:
        assert re.search(rf"(?m)^ ?{k} .*\] .* {verdict}", said), (k, verdict)
    for code in _blocks("python"):
        exec(compile(code, "docs/learn.md", "exec"), {})
    assert Path("runs/sheets/concept-00.png").is_file()
    assert Path("runs/by-hand.json").is_file()


def test_every_learner_and_space_is_told_of() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    missing = [one for one in (*known_learners().names(), *SPACES) if f"`{one}`" not in text]
    assert not missing
