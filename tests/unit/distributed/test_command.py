"""``shiftlens harvest --ray``: the options, the screen, and the store of a serial run."""

import io
import json
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from shiftlens.activations.store import ActivationStore
from shiftlens.cli import main as cli
from shiftlens.cli.harvest_workers import Workers, WorkersProgress, workers_table
from shiftlens.core.errors import DataError
from shiftlens.core.progress import Silent
from shiftlens.distributed.rates import WorkerRate

RATES = (
    WorkerRate(1, "812 on node-a", "working", parts=3, samples=768, seconds=64.0),
    WorkerRate(2, "", "waiting", lost=1),
)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("", 2, None), "--workers"),
        (("", None, 0.5), "--gpus-per-worker"),
        (("local", 0, None), "--workers"),
        (("local", 1, -1.0), "--gpus-per-worker"),
    ],
)
def test_a_number_of_workers_that_makes_no_sense_is_a_mistake(
    options: tuple[str, int | None, float | None], named: str
) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        Workers(*options, quiet=True)
    assert caught.value.param_hint == named


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DataError, match="needs the package ray") as caught:
        Workers("local", 2, None, quiet=True).options()
    assert caught.value.remedy == 'pip install "shiftlens[ray]"'
    assert list(Workers("", None, None, quiet=True).options()) == ["progress"]  # twin


def test_without_a_terminal_nothing_is_shown() -> None:
    options = Workers("local", 2, None, quiet=False).options()
    assert isinstance(options["progress"], Silent)


def test_each_worker_has_a_line() -> None:
    screen = Console(file=io.StringIO(), width=80)
    screen.print(workers_table(RATES))
    assert isinstance(screen.file, io.StringIO)
    lines = [line.split() for line in screen.file.getvalue().splitlines()]
    assert lines[1] == ["1", "3", "12.0", "working", "812", "on", "node-a"]
    assert lines[2] == ["2", "0", "1", "waiting"]


def test_the_screen_goes_with_the_run() -> None:
    screen = WorkersProgress()
    screen.start("harvesting base", 6)
    screen.watch(RATES)
    screen.advance(2)
    assert len(list(screen._bars.get_renderables())) == 2
    assert screen._bars.tasks[0].completed == 2
    screen.stop()
    assert screen._bars.tasks == []
    assert len(list(screen._bars.get_renderables())) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_store_is_that_of_a_serial_run_and_the_workers_are_named(
    tiny_path: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["harvest", str(tiny_path), str(pictures[0].parent), "--prompt", "what"]
    words += ["--max-new-tokens", "2", "--json", "-o"]
    assert cli.run_app([*words, str(tmp_path / "serial")]) == 0
    serial = json.loads(capsys.readouterr().out)
    assert "workers" not in serial
    assert cli.run_app([*words, str(tmp_path / "out"), "--ray", "local", "--workers", "2"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert said.err == "", "Ray's own talk is not for the terminal"
    assert document["fingerprint"] == serial["fingerprint"]
    assert ActivationStore.open(tmp_path / "out").fingerprint == serial["fingerprint"]
    assert [(one["worker"], one["parts"], one["lost"]) for one in document["workers"]] == [
        (1, 1, 0)
    ], "one part needs one worker"
    # A finished run asks nobody.
    assert cli.run_app([*words, str(tmp_path / "out"), "--ray", "local"]) == 0
    assert json.loads(capsys.readouterr().out)["workers"] == []
