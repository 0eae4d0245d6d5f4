"""Copies of files from far away: counted, and removed oldest first until few enough are left."""

import json
import os
from pathlib import Path

import pytest

from shiftlens.cli.main import run_app
from shiftlens.core.copies import copies, remove_copies


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three copies of 100 bytes; the second was fetched first."""
    monkeypatch.setenv("SHIFTLENS_CACHE", str(tmp_path))
    for number, age in enumerate((20, 30, 10)):
        file = tmp_path / "files" / f"{number:02d}" / f"{number:064d}.safetensors"
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(100))
        os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "half-written").write_bytes(bytes(1000))
    return tmp_path


def _left(folder: Path) -> list[str]:
    return sorted(file.name[63] for file in folder.glob("files/*/*"))


def test_they_are_counted(folder: Path) -> None:
    found = copies()
    assert (found.folder, found.files, found.bytes) == (folder / "files", 3, 300)


@pytest.mark.parametrize(
    ("keep", "left"),
    [(300, "012"), (299, "02"), (200, "02"), (199, "2"), (100, "2"), (99, ""), (0, "")],
)
def test_the_oldest_go_first_and_no_more_than_is_needed(folder: Path, keep: int, left: str) -> None:
    removed = remove_copies(keep)
    assert _left(folder) == list(left)
    assert (removed.files, removed.bytes) == (3 - len(left), 100 * (3 - len(left)))
    assert (folder / "runs" / "half-written").exists(), "what is being written is not a copy"


def test_where_nothing_was_ever_fetched_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIFTLENS_CACHE", str(tmp_path / "none"))
    assert copies().files == remove_copies().files == 0


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["store", "cache"]) == 0
    assert "3 copies of stores from far away, 300 B, in " in capsys.readouterr().out
    assert run_app(["store", "cache", "--keep", "2e-7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(folder / "files"),
        "files": 2,
        "bytes": 200,
        "removed": 1,
        "freed": 100,
    }
    assert run_app(["store", "cache", "--keep", "0"]) == 0
    assert "removed 2 copies, 200 B" in capsys.readouterr().out
    for wrong in ("-1", "nan"):
        assert run_app(["store", "cache", "--keep", wrong]) == 2
        assert "0 or more GB" in capsys.readouterr().err
