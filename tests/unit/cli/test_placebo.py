"""``shiftlens placebo``: adapters on disk, their cards on the screen, and what it would cost."""

import json
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.models.loading import load_pair


@pytest.fixture
def words(
    tiny_path: Path, tiny_adapter_path: Path, pictures: list[Path], tmp_path: Path
) -> list[str]:
    """A command that trains two placebos in two steps each."""
    rows = [{"image": str(path), "prompt": "what is this ?"} for path in pictures]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = f"placebo {tiny_path} {data} --like {tiny_adapter_path} --rate 1e-2 --steps 2"
    return f"{said} --seeds 2 --max-new-tokens 24 --out {tmp_path / 'out'}".split()


def test_placebos_are_written_and_kept(
    words: list[str], tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    assert f"in {tmp_path / 'out'}" in said
    assert "placebo-0" in said
    assert "first loss" in said
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.safetensors")}
    assert len(files) == 2
    load_pair(tiny_path, tmp_path / "out" / "placebo-1")
    assert cli.run_app([*words, "--json"]) == 0
    cards = json.loads(capsys.readouterr().out)["placebos"]
    assert [card["seed"] for card in cards] == [0, 1]
    assert [Path(card["path"]).name for card in cards] == ["placebo-0", "placebo-1"]
    assert cards[0]["drawn"]["responses"] == 24
    assert all(file.stat().st_mtime_ns == time for file, time in files.items())


def test_quiet_says_nothing(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app([*words, "--quiet", "--seeds", "1"]) == 0
    assert capsys.readouterr().out == ""


def test_the_cost_is_said_and_nothing_is_done(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--dry-run", "--n", "4"]) == 0
    assert "2 of 2 placebos to train, on 4 samples" in capsys.readouterr().out
    assert cli.run_app([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["missing"], told["samples"], told["responses"]) == (2, 6, 24)
    assert not (tmp_path / "out").exists()


def test_samples_of_a_package_are_counted_without_drawing_and_drawn_once(
    base_path: Path, adapter_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    said = f"placebo {base_path} world:captions --like {adapter_path} --rate 4e-3 --steps 1"
    words = f"{said} --batch-size 2 --responses 1 --seeds 1 --out {out}".split()
    assert cli.run_app([*words, "--dry-run"]) == 0
    assert "1000 samples" in capsys.readouterr().out
    assert not out.exists()
    for _ in range(2):
        assert cli.run_app([*words, "--n", "3", "--data-seed", "5"]) == 0
    assert [path.name for path in (out / "data").iterdir()] == ["world-captions-3-5"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--seeds", "0"], "at least one placebo"),
        (["--rate", "0"], "cannot train with rate = 0.0"),
        (["--like", "nowhere/at/all"], "no model at nowhere/at/all"),
        (["--n", "0"], "no samples to draw responses to"),
        (["--responses", "0"], "cannot draw 0 responses"),
    ],
)
def test_impossible_wishes(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, *more]) == 2
    assert message in capsys.readouterr().err
