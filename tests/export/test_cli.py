"""``shiftlens export`` and ``shiftlens import`` of control vectors."""

import json
from pathlib import Path

import pytest
from tests.builders import build_vector
from tests.export.makers import everything

import shiftlens as sl
from shiftlens.cli import main as cli


@pytest.fixture
def vector(tmp_path: Path) -> str:
    build_vector(layer=2).save(tmp_path / "v")
    return str(tmp_path / "v")


@pytest.mark.parametrize("target", ["gguf", "transformers", "vllm-lens"])
def test_it_says_what_it_wrote(
    target: str, vector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["export", vector, "--to", target, "-o", str(out)]
    assert cli.run_app([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["written"]
    assert not out.exists()
    assert cli.run_app([*words, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done == {**told, "written": True}
    assert {path.name for path in out.iterdir()} == {one["name"] for one in done["files"]}
    assert cli.run_app([*words, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.run_app(words) == 0
    assert done["files"][0]["name"] in capsys.readouterr().out


def test_refusals_are_one_message_and_exit_code_2(
    vector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything().save(tmp_path / "all")
    out = ["-o", str(tmp_path / "out")]
    for words, message in (
        (["export", vector, "--to", "onnx", *out], "choose from"),
        (["export", vector, "--to", "baked", *out], "--model DIRECTORY"),
        (["export", vector, "--to", "gguf", "--scope", "response", *out], "the scope all"),
        (["export", str(tmp_path / "all"), "--to", "gguf", *out], "steer with hooks"),
        (["export", str(tmp_path / "none"), "--to", "gguf", *out], "does not exist"),
        (["export", vector, "--to", "gguf", "--adapter", "x", *out], "--model"),
    ):
        assert cli.run_app(words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_control_vector_comes_back(
    vector: str, tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    words = ["export", vector, "--to", "gguf", "-o", str(out), "--strength", "2", "--quiet"]
    assert cli.run_app(words) == 0
    file = str(out / "control-vector.gguf")
    assert cli.run_app(["import", file, "-o", str(back), "--dry-run"]) == 0
    assert not back.exists()
    assert "--model" in capsys.readouterr().out
    known = ["import", file, "-o", str(back), "--model", str(tiny_path), "--json"]
    assert cli.run_app(known) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["blocks"], told["d"], told["model_known"]) == ([2], 32, True)
    (one,) = sl.Steering.load(back).interventions
    assert one.vector.direction.norm() == pytest.approx(12.0)  # pyright: ignore
    assert cli.run_app(["import", file, "-o", str(back), "--words", "dog"]) == 2
    assert "no states" in capsys.readouterr().err


def test_a_steering_file_steers_on_the_command_line(
    tiny_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from shiftlens.steering.intervening import Intervention

    parts = (Intervention(build_vector(), 1.0, "all"), Intervention(build_vector(seed=1), 0.5))
    sl.Steering(parts).save_folder(tmp_path / "s")
    words = ["steer", str(tiny_path), "what", "-v", str(tmp_path / "s"), "--json"]
    assert cli.run_app([*words, "--max-new-tokens", "2"]) == 0
    receipt = json.loads(capsys.readouterr().out)["receipt"]
    assert [one["scope"] for one in receipt["vectors"]] == ["all", "response"]
