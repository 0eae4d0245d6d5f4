"""docs/store.md is true: its commands and its Python run, in the order of the page."""

import re
import shlex
from pathlib import Path

import pytest

from shiftlens.activations.store import ActivationStore
from shiftlens.cli import main as cli

_PAGE = Path(__file__).parents[2] / "docs" / "store.md"


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHIFTLENS_CACHE", str(tmp_path / "cache"))  # of whoever runs the tests
    lines = "".join(_blocks("sh")).splitlines()
    assert len(lines) == 4
    for line in lines:
        assert cli.run_app(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert "sound: 2 files" in capsys.readouterr().out
    blocks = _blocks("python")
    assert len(blocks) == 2
    for code in blocks:
        exec(compile(code, "docs/store.md", "exec"), {})
    said = capsys.readouterr().out
    assert "float32" in said
    assert said.splitlines()[-2].endswith(" True")


def test_every_way_to_read_is_told_of() -> None:
    text = _PAGE.read_text(encoding="utf-8")
    ways = ("states", "gather", "batches", "shards", "where", "at_rows", "concatenate")
    assert all(hasattr(ActivationStore, one) for one in ways)
    assert not [one for one in ways if f"`{one}(" not in text and f"`{one}`" not in text]
