"""``shiftlens steer``: two answers and a receipt, and mistakes in one message."""

import json
from pathlib import Path

import pytest
from tests.builders import build_vector

from shiftlens.cli import main as cli

ASKED = "what is the man on ?"


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    build_vector(length=80.0).save(tmp_path / "vector")
    return tmp_path / "vector"


@pytest.fixture
def words(tiny_path: Path, vector: Path, pictures: list[Path]) -> list[str]:
    return [
        *("steer", str(tiny_path), ASKED, "-v", str(vector), "-i", str(pictures[0])),
        *("--max-new-tokens", "4"),
    ]


def test_both_answers_and_the_receipt_are_printed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(words) == 0
    before, after, receipt = capsys.readouterr().out.splitlines()
    assert before.startswith("unsteered  ")
    assert after.startswith("steered    ")
    assert before.split(maxsplit=1)[1] != after.split(maxsplit=1)[1]
    assert receipt.startswith("random 0: 4 tokens in 1 of 1 samples; strength 1, dose ")
    assert "(after block 1, positions: response)" in receipt


def test_everything_can_be_read_by_programs(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--layers 1,2 --strength .5 --scope all --operator add-keeping-norm --kl".split()
    assert cli.run_app([*words, *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"unsteered", "steered", "receipt"}
    parts = told["receipt"]["vectors"]
    assert [part["layer"] for part in parts] == [1, 2]
    assert {part["operator"] for part in parts} == {"add-keeping-norm"}
    assert len(told["receipt"]["first_token_kl"]) == 1


def test_a_closed_gate_is_a_result(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app([*words, "--gate", "prompt:dog", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steered"] == told["unsteered"]
    assert told["receipt"]["vectors"][0]["gate_open"] == [False]
    # Twin: the same gate turned round is open.
    assert cli.run_app([*words, "--gate", "not:prompt:dog", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipt"]["vectors"][0]["gate_open"] == [True]


def test_strength_zero_changes_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--strength", "0"]) == 0
    assert "strength 0, nothing changed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--gate", "sometimes"], "the gate 'sometimes' cannot be read"),
        (["--gate", "says:"], "the gate 'says:' cannot be read"),
        (["-v", "nowhere/vector"], "nowhere/vector.json"),
        (["--strength", "nan"], "strength nan is not a finite number"),
        (["--strength", "inf"], "strength inf is not a finite number"),
        (["--layers", "first"], "'first' is no list of layers"),
        (["--layers", "4"], "layer 4 is outside"),
        (["--layers", "1,1"], "each once"),
        (["--scope", "nowhere"], "unknown scope 'nowhere'"),
        (["--operator", "subtract"], "subtract"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_vector_of_another_width_is_refused(
    words: list[str], vector: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_vector(16).save(vector)
    assert cli.run_app(words) == 2
    assert "has 16 entries" in capsys.readouterr().err
