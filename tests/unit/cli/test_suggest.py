"""``shiftlens suggest``: tables, JSON, and the command that comes next."""

import json
import re
import shlex
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.cli.suggest_next import next_command
from shiftlens.study.suggesting import Suggestion
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def words(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words of a small run."""
    folder = tmp_path_factory.mktemp("suggest")
    data = materialise("people", folder / "data", n=20, seed=3).parent
    said = f"suggest {base_path} {data} -o {folder / 'out'} --samples 14 --layers 0,-1 --k 2"
    return [*said.split(), "--max-new-tokens", "12"]


def test_tables_and_a_command_in_eighty_columns(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--tuned", "my tune"]) == 0
    said = capsys.readouterr().out
    head, *lines = said.splitlines()
    assert "14 samples of" in head
    assert re.search(r"(?m)^person +\d+ +\d+ +\d+ % +\[\d+, \d+\] +no +\d+", said)
    assert re.search(r"(?m)^5 +100 % +\[78, 100\] +0 % +1 ", said)
    assert "do 20 samples give the 120 states that a comparison needs?" in said
    assert re.search(r"words can be read from block [05] on", said)
    command = next(line for line in lines if line.startswith("  shiftlens diff"))
    assert shlex.split(command)[:4] == ["shiftlens", "diff", words[1], "my tune"]
    assert "--words person" in command
    assert "--max-new-tokens 12" in command
    kept = [line for line in lines if "shiftlens diff" not in line and "all numbers" not in line]
    assert max(map(len, kept)) <= 80


def test_json_is_the_file_and_names_the_placeholder(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--json", "--seed", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    out = Path(words[words.index("-o") + 1])
    assert document == json.loads((out / "suggestion.json").read_text())
    assert " TUNED " in document["next"]
    assert {"estimate", "low", "high"} == set(document["words"][0]["share"])
    assert [one["layer"] for one in document["layers"]] == [0, 5]
    assert cli.run_app([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_the_cost_is_said_and_nothing_is_done(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry = [*words, "-o", str(tmp_path / "out"), "--dry-run", "--batch-size", "7"]
    assert cli.run_app(dry) == 0
    assert "at most 26 forward passes" in capsys.readouterr().out
    assert cli.run_app([*dry, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passes"] == 26
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--samples", "0"], "at least one sample"),
        (["--k", "1"], "two concepts"),
        (["--layers", "0,x"], "are no numbers of blocks"),
        (["--layers", "6"], "layer 6"),
        (["--adapter", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_nothing_of_content_leaves_the_choice_to_diff() -> None:
    found = Suggestion("m", 3, 3, (), 0, (), ("yes",), None, 0, (), None, None, None)
    command = next_command(found, "m", None, "my data", prompt="is it?")
    assert command == "shiftlens diff m TUNED 'my data' --prompt 'is it?'"
