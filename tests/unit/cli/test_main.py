"""Exit codes and messages: 0 done, 2 the user's to mend, 3 the machine's, 130 interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from shiftlens.cli import main as cli
from shiftlens.core.errors import DataError, MachineError


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("it is broken", allowed="whole things", remedy="mend it"), 2, "mend it"),
        (MachineError("the disk is full", remedy="free some"), 3, "the disk is full"),
        (KeyboardInterrupt(), 130, "run the same command again"),
        (RuntimeError("a bug"), 3, "the trace is in"),
    ],
)
def test_every_kind_of_failure_has_its_exit_code_and_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    _raising(monkeypatch, error)
    assert cli.run_app([]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize(
    ("arguments", "place"),
    [(["rum"], "shiftlens"), (["demo", "--nope"], "shiftlens demo"), (["run"], "shiftlens run")],
)
def test_a_wrong_word_is_a_usage_error(
    arguments: list[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(arguments) == 2
    assert f"see: {place} --help" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    from shiftlens import __version__

    assert cli.run_app(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_drawing_samples_gives_a_folder_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shiftlens

    assert cli.run_app(["world", "draw", "dog", "-n", "3", "-o", str(tmp_path)]) == 0
    samples = shiftlens.read(capsys.readouterr().out.strip())
    assert len(samples) == 3
    assert {sample.labels["subject"] for sample in samples} == {"dog"}


@pytest.mark.parametrize(("flag", "out"), [("--json", {"samples": 2}), ("--quiet", None)])
def test_drawing_for_programs_and_in_silence(
    flag: str, out: dict[str, int] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["world", "draw", "dog", "-n", "2", "-o", str(tmp_path), flag]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    if out is None:
        assert said.out == ""
        return
    found = json.loads(said.out)
    assert found == {**out, "data": found["data"]}
    assert Path(found["data"]).exists()


def test_training_refuses_a_scale_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app(["world", "train", "--scale", "0"]) == 2
    assert "above 0" in capsys.readouterr().err


def test_the_console_script_is_the_same_program() -> None:
    script = Path(sys.executable).parent / "shiftlens"
    done = subprocess.run(
        [script, "--help"], capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert done.returncode == 0
    assert {"demo", "run", "world"} <= set(done.stdout.split())
