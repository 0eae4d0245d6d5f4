"""``shiftlens doctor``: a page about a model, JSON for programs, and 1 where it cannot be used."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.builders import edit_json

from shiftlens.cli import main as cli
from shiftlens.models.inspecting import sweeping
from shiftlens.models.inspecting.sweeping import Architecture


@pytest.fixture
def copied(tiny_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's files, to change."""
    return Path(shutil.copytree(tiny_path, tmp_path / "copied"))


def test_a_model_is_described(tiny_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app(["doctor", str(tiny_path)]) == 0
    said = capsys.readouterr().out
    for line in (
        "residual stream  model.language_model.layers: 4 blocks, width 32",
        "final norm       model.language_model.norm",
        "unembedding      lm_head",
        "vision tower     model.vision_tower: ",
        "projector        model.multi_modal_projector",
        "picture token    <image>",
        "patches          one grid for every picture; 640 x 480 pixels give ",
        "usable: every block fired once",
    ):
        assert line in said
    assert all(len(line) <= 80 for line in said.splitlines()[1:])


def test_programs_read_the_same(tiny_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app(["doctor", str(tiny_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["usable"] is True
    assert told["address"]["n_layers"] == 4


def test_one_that_cannot_be_used(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_json(copied / "config.json", model_type="bert")
    assert cli.run_app(["doctor", str(copied)]) == 1
    said = capsys.readouterr()
    assert "cannot be used" in said.out
    assert "not a model that reads pictures and writes text" in " ".join(said.out.split())
    assert said.err == ""
    assert cli.run_app(["doctor", str(copied), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["usable"] is False
    assert len(told["reasons"]) == 1


def test_limits_are_listed(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_json(copied / "config.json", quantization_config={"quant_method": "bitsandbytes"})
    assert cli.run_app(["doctor", str(copied)]) == 0
    said = capsys.readouterr().out
    assert "packed by bitsandbytes" in " ".join(said.split())
    assert "with limits" in said


def test_names_are_never_markup(tiny_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = tiny_path.parent / "[red]odd[/red]"
    named.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tiny_path, named)
    assert cli.run_app(["doctor", str(named)]) == 0
    assert "[red]odd[" in capsys.readouterr().out


def test_an_adapter(
    tiny_adapter_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["doctor", str(tiny_adapter_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "adapter LORA of rank" in said
    assert " modules)" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one model or at every architecture"),
        (["world:base", "--all"], "one model or at every architecture"),
        (["/no/such/place"], "there is no such directory"),
        (["world:nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["doctor", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_every_architecture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = sweeping.sweep
    calls: list[dict[str, Any]] = []

    def a_few(names: Sequence[str] | None = None, **options: Any) -> list[Architecture]:
        assert names is None
        calls.append(options)
        return real(["florence2", "git", "llava"])

    monkeypatch.setattr(sweeping, "sweep", a_few)
    assert cli.run_app(["doctor", "--all", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"architectures"}
    assert [set(one) for one in told["architectures"]] == 3 * [
        {"name", "addressed", "path", "reason"}
    ]
    assert [one["addressed"] for one in told["architectures"]] == [False, True, True]
    assert cli.run_app(["doctor", "--all"]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 architectures are addressed" in said
    assert "model.language_model.layers  1\n" in said.replace(" \n", "\n")
    assert "encoder-decoder model" in said
    assert len(calls) == 2
