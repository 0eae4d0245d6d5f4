"""docs/data.md is true: its Python and its commands run, in the order of the page."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from shiftlens.cli import main as cli
from shiftlens.data.layouts import layouts
from shiftlens.data.readers.tables import tables

_ROOT = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / ".datasets")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    text = (_ROOT / "data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```(\w+)\n(.*?)^```$", text)
    assert {kind for kind, _ in blocks} == {"python", "sh"}
    names: dict[str, Any] = {}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, "docs/data.md", "exec"), names)
            continue
        for line in block.splitlines():
            assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert "2 samples" in capsys.readouterr().out, "those of the kind that was asked for"


def test_every_layout_and_table_is_told_of() -> None:
    text = (_ROOT / "formats" / "data.md").read_text(encoding="utf-8")
    missing = [name for name in layouts.names() if f"`{layouts.get(name).function}`" not in text]
    assert not missing + [kind for kind in tables.names() if f"`.{kind}`" not in text]
