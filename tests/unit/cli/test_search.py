"""``shiftlens search``: the table, the page, the vector, what it costs, and what is refused."""

import json
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.steering.searching import Search
from shiftlens.world.source import materialise

FAST = "--layers 4 --strengths 1 --controls 1 -n 24".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {
        name: materialise(name, folder / name, n=n, seed=3).parent
        for name, n in (("yesno", 90), ("number", 16))
    }


@pytest.fixture
def words(base_path: Path, data: dict[str, Path]) -> list[str]:
    return f"search {base_path} {data['yesno']} --source yes --target no".split()


@pytest.fixture(scope="module")
def run(
    base_path: Path, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path]:
    """A search that has been run; its words and its directory."""
    out = tmp_path_factory.mktemp("out")
    said = f"search {base_path} {data['yesno']} --source yes --target no --off-target "
    said += f"{data['number']} -o {out} --layers 4 --strengths .2,1 --controls 1 -n 24"
    assert cli.run_app([*said.split(), "--budget", "loss <= .3", "--quiet"]) == 0
    return [*said.split(), "--budget", "loss <= .3"], out


def test_the_table_names_what_was_chosen_and_where_everything_is(
    run: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = run
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines() if str(out) not in line)
    assert "2 cells, chosen on 24 samples, reported on 24 others" in said
    assert "chosen: layer 4, add x 1, response" in said
    assert "random direction 0" in said
    assert f"--vector {out}, all as it was chosen" in said
    assert "budget loss <= 0.3: " in said
    assert "winner's curse" in said
    for name in ("front.html", "search.json", "best.safetensors"):
        assert (out / name).is_file()
        assert name in said


def test_results_can_be_read_by_programs(
    run: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = run
    assert cli.run_app([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((out / "search.json").read_text())
    assert document["cells"][document["chosen"]]["cell"]["strength"] == 1.0
    assert Search.load(out).best.strength == 1.0
    assert SteeringVector.load(out / "best").layer == 4


def test_a_saved_vector_can_be_searched_with(
    run: tuple[list[str], Path],
    base_path: Path,
    data: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    vector = run[1] / "best.safetensors"
    words = f"search {base_path} {data['yesno']} --vector {vector} -o {tmp_path}".split()
    ends = "--set source=yes --set target=no --strengths 1 --controls 1 -n 12".split()
    assert cli.run_app([*words, *ends]) == 0
    assert "chosen: layer 4, add x 1, response" in capsys.readouterr().out
    assert not (tmp_path / "fit").exists()


def test_quiet_says_nothing(
    run: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*run[0], "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_cost_is_said_and_nothing_is_done(
    words: list[str], data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words += ["-o", str(out), "--off-target", str(data["number"]), "--dry-run"]
    assert cli.run_app(words) == 0
    assert "30 cells, 400 samples of all data for each" in capsys.readouterr().out
    assert cli.run_app([*words, *FAST, "--operators", "add,ablate", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "cells": 2,
        "samples": {"choosing": 48, "reporting": 48},
        "answers": 48 * 3 + 48 * 3,
        "passes": 9 * 8,
    }
    assert not out.exists()
    words[1] = "somewhere/else"
    assert cli.run_app(words) == 0
    assert "name --layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", ""], "an empty answer"),
        (["--strengths", "a,b"], "'a,b' is no list of numbers"),
        (["--layers", "first"], "'first' is no list of layers"),
        (["--budget", "loss < 1"], "the budget 'loss < 1' cannot be read"),
        (["--task", "beauty"], "unknown task 'beauty'"),
        (["--set", "goal"], "'goal' is no key=value"),
        (["--set", "goal=1"], "has no setting 'goal'"),
        (["--n", "0"], "at least one sample a half"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str],
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run_app([*words, "-o", str(tmp_path), *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_direction_is_needed(
    base_path: Path, data: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"search {base_path} {data['yesno']}".split()
    assert cli.run_app(words) == 2
    assert "a direction is needed" in capsys.readouterr().err
    assert cli.run_app([*words, "--source", "yes"]) == 2
    assert "belong together" in capsys.readouterr().err
