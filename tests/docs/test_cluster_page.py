"""docs/cluster.md is true: its shares run, its options exist, its numbers are those of the code."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

import shiftlens
from shiftlens.activations.store import ActivationStore
from shiftlens.cli.main import app, run_app
from shiftlens.data.sample import Sample, Samples
from shiftlens.distributed.ray_executor import RayExecutor
from shiftlens.distributed.session import connected
from shiftlens.models.model import Model

_TEXT = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", _TEXT)


@pytest.mark.slow
def test_its_shares_make_whole_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in _blocks("sh"):
        for line in block.splitlines():
            assert run_app(shlex.split(line)[1:]) == 0
    stores = sorted(path.parent for path in Path("runs").glob("*/manifest.json"))
    assert [path.name for path in stores] == ["people", "small-parts"]
    assert all(ActivationStore.open(path).complete for path in stores)


def test_every_option_that_it_names_exists() -> None:
    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    known = {one for param in commands["harvest"].params for one in param.opts}
    lines = [line for block in _blocks("text") for line in block.splitlines()]
    named = [re.findall(r"--[a-z-]+|(?<= )-[a-z]\b", line.split("shiftlens harvest", 1)[1])
             for line in lines if "shiftlens harvest" in line]  # fmt: skip
    assert len(named) == 5
    assert {one for options in named for one in options} <= known


def test_its_numbers_are_those_of_the_code() -> None:
    defaults = inspect.signature(RayExecutor).parameters
    assert (defaults["deaths"].default, "a part that kills three workers" in _TEXT) == (3, True)
    minutes = defaults["patience"].default / 60
    assert f"nobody has had room for {minutes:.0f} minutes" in _TEXT
    size = inspect.signature(shiftlens.harvest).parameters["part_size"].default
    assert f"cut into parts ({size} samples each)" in _TEXT


@pytest.mark.slow
def test_its_python_runs(
    tiny: Model, questions: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = _blocks("python")
    space = {"shiftlens": shiftlens, "model": tiny, "site": shiftlens.Site(-1)}
    space["samples"] = Samples(questions)
    with connected("local", cpus=1, gpus=0, weights=0):
        exec(compile(code, "docs/cluster.md", "exec"), space)
    assert ActivationStore.open("runs/states").complete
