"""``shiftlens discover``: concepts learned or given, directions ranked, files written."""

import json
from pathlib import Path

import pytest

from shiftlens.cli import main as cli
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def run(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A discovery that has been run; its words and its directory."""
    folder = tmp_path_factory.mktemp("discover")
    data = materialise("yesno", folder / "data", n=60, seed=3).parent
    said = f"discover {base_path} {data} -o {folder / 'out'} --layer 4 --k 2 -n 20 --controls 2"
    words = [*said.split(), "--max-new-tokens", "2"]
    assert cli.run_app([*words, "--quiet"]) == 0
    return words, folder / "out"


def test_directions_are_ranked_beside_random_ones(
    run: tuple[list[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = run
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    assert "of 2 directions score above all 2 random ones" in said
    assert " no " in said
    assert " yes " in said
    assert "of 20 answers" in said
    for name in ("discovery.json", "report.html", "best.safetensors", "concepts.safetensors"):
        assert (out / name).is_file()
    assert Concepts.load(out / "concepts").words
    assert SteeringVector.load(out / "best").layer == 4


def test_saved_concepts_are_used_as_they_are(
    run: tuple[list[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, out = run
    words = [*words, "--concepts", str(out / "concepts"), "-o", str(tmp_path), "--json"]
    assert cli.run_app(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "discovery.json").read_text())
    assert len(document["directions"]) == 2
    assert not (tmp_path / "fit").exists()


def test_the_cost_is_said_and_nothing_is_done(
    run: tuple[list[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*run[0], "--k", "6", "-o", str(tmp_path / "out"), "--dry-run"]
    assert cli.run_app(words) == 0
    assert "30 directions and 2 random ones, 20 samples for each" in capsys.readouterr().out
    assert cli.run_app([*words, "--json", "--concepts", str(run[1] / "concepts")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["directions"], told["answers"]) == (2, 20 * 5)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--k", "1"], "two concepts"),
        (["--n", "0"], "at least one sample"),
        (["--concepts", "nowhere/at/all"], "does not exist"),
        (["--scope", "nowhere"], "nowhere"),
        (["--layer", "6"], "layer 6"),
    ],
)
def test_mistakes_are_one_message(
    run: tuple[list[str], Path],
    more: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run_app([*run[0], *more]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
