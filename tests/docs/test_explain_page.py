"""docs/explain.md is true: its commands and its Python run, in the order of the page."""

import re
import shlex
from pathlib import Path

import pytest

from shiftlens.cli import main as cli

_PAGE = Path(__file__).parents[2] / "docs" / "explain.md"


def _blocks(kind: str) -> list[str]:
    text = _PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in "".join(_blocks("sh")).splitlines():
        assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out.split("“a ", 1)[1]
    shown = _blocks("")[0]
    # Words and verdicts as the page says; numbers may differ in their last digits elsewhere.
    for row in re.findall(r"(?m)^(\w+) +(?:outside|at the site) .* (yes|no) ", shown):
        assert re.search(rf"(?m)^{row[0]} .* {row[1]} ", said), row
    for code in _blocks("python"):
        exec(compile(code, "docs/explain.md", "exec"), {})
    assert "person ('woman', 'women', 'person'" in capsys.readouterr().out
    assert Path("runs/python/explanation.json").is_file()
    assert Path("runs/explained/explanation.html").stat().st_size > 10_000
