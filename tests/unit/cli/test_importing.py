"""``shiftlens import``: a file becomes a store that the other verbs read, or one sentence."""

import json
from pathlib import Path

import pytest
from tests.unit.activations.importing.files import coco, masks, token_states, write_features

from shiftlens.activations.store import ActivationStore
from shiftlens.cli import main as cli
from shiftlens.models.model import Model


@pytest.fixture
def file(tmp_path: Path) -> Path:
    states = token_states(30, d=32).float()
    kept = masks(False, *[True] * 29)
    return write_features(tmp_path / "f.pth", states, image=coco(30), token_of_interest_mask=kept)


@pytest.mark.slow
def test_a_file_is_imported_told_of_and_learned_from(
    file: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "s")
    words = ["import", str(file), "-o", store, "--words", "dog", "--model", str(tiny_path)]
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    assert "states at “dog”, after block 2" in said
    assert next(one.split()[1:5] for one in said.splitlines() if one.startswith("s ")) == [
        *("29", "29", "1", "0")
    ]
    learn = ["learn", store, "--k", "3", "--model", str(tiny_path), "-o", str(tmp_path / "c")]
    assert cli.run_app(learn) == 0
    assert cli.run_app([*words, "--json"]) == 0  # again: it is there already
    capsys.readouterr()
    assert cli.run_app([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["samples"]["missed"]) == (29, 1)


def test_store_info_and_verify_know_an_imported_store(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["import", str(file), "-o", str(tmp_path / "s"), "--quiet"]) == 0
    for verb in ("info", "verify"):
        assert cli.run_app(["store", verb, str(tmp_path / "s")]) == 0, verb
        capsys.readouterr()
    shard = tmp_path / "s" / "shard-00000.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    assert cli.run_app(["store", "verify", str(tmp_path / "s")]) != 0


def test_a_dry_run_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["import", str(file), "-o", str(tmp_path / "s"), "--dry-run"]
    assert cli.run_app(words) == 0
    assert "29 states of width 32 (float32) from 30 samples" in capsys.readouterr().out
    assert cli.run_app([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == 29 * 32 * 4
    assert not (tmp_path / "s").exists()


def test_a_store_of_unknown_weights_is_learned_from_and_read_by_no_model(
    file: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, concepts, model = str(tmp_path / "s"), str(tmp_path / "c"), str(tiny_path)
    assert cli.run_app(["import", str(file), "-o", store, "--quiet"]) == 0
    assert cli.run_app(["learn", store, "--k", "3", "-o", concepts, "--quiet"]) == 0
    for words in (
        ["learn", store, "--k", "3", "--model", model, "-o", concepts],
        ["ground", concepts, store, "--model", model],
    ):
        assert cli.run_app(words) == 2
        said = capsys.readouterr().err
        assert "nobody said which weights they are of" in said
        assert "import the file again with --model" in said


def test_its_twin_with_the_model_named_is_read_by_that_model_alone(
    file: Path,
    tmp_path: Path,
    tiny_path: Path,
    base_path: Path,
    brief: Model,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, concepts = str(tmp_path / "s"), str(tmp_path / "c")
    assert cli.run_app(["import", str(file), "-o", store, "--model", str(tiny_path)]) == 0
    assert cli.run_app(["learn", store, "--k", "3", "-o", concepts, "--quiet"]) == 0
    assert cli.run_app(["ground", concepts, store, "--model", str(tiny_path)]) == 0
    capsys.readouterr()
    assert cli.run_app(["ground", concepts, store, "--model", brief.name]) == 2
    assert "the weights differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--positions", "first"], "none of each, mean"),
        (["--response", "base"], "none of own, given"),
        (["--adapter", "a"], "an adapter is of a model"),
        (["--module", "nothing"], "has no states of nothing"),
        (["--model", "nobody/nothing/here"], "no model"),
    ],
)
def test_mistakes(
    file: Path, tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app(["import", str(file), "-o", str(tmp_path / "s"), *words]) == 2
    assert why in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "s").exists()


def test_no_images(file: Path, tmp_path: Path) -> None:
    assert cli.run_app(["import", str(file), "-o", str(tmp_path / "s"), "--no-images"]) == 0
    rows = ActivationStore.open(tmp_path / "s").rows
    assert all(row.image.startswith("hidden:") for row in rows)
    assert not any("COCO" in row.sample_id for row in rows)
