"""docs/exporting.md is true: its commands and its Python run, in order."""

from pathlib import Path

import pytest
from tests.docs.test_importing_page import run_page


@pytest.mark.slow
def test_the_exporting_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    said = run_page("exporting.md", capsys)
    assert 'license: "apache-2.0"' in said
    assert "changed: True" in said
    assert "given back: True" in said
    assert Path("runs/imported/steering.json").is_file()
