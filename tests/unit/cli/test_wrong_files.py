"""What stands where a vector or concepts are expected: the message says what is meant instead."""

from pathlib import Path

import pytest
from tests.builders import build_vector

from shiftlens.cli import main as cli
from shiftlens.cli.concept_files import concepts_at
from shiftlens.core.errors import StoreError
from shiftlens.steering.reading import read_kept


@pytest.mark.parametrize("verb", ["steer model prompt -v", "export --to gguf -o out"])
def test_a_folder_without_a_steering_is_named_as_one(
    verb: str, base_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The model does not exist: what is wrong with the vector is found before it is looked for.
    assert cli.run_app([*verb.split(), str(base_path)]) == 2
    said = capsys.readouterr().err
    assert f"{base_path} holds no steering, steering vector or affine edit" in said
    assert "shiftlens search" in said
    assert "does not exist" not in said


def test_a_picture_that_is_not_there_is_found_before_a_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_vector().save(tmp_path / "v")
    said = ["steer", "no-model", "What?", "-v", str(tmp_path / "v"), "-i", str(tmp_path / "no.png")]
    assert cli.run_app(said) == 2
    assert "no.png does not exist" in capsys.readouterr().err


def test_a_vector_that_is_not_there_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.json does not exist") as caught:
        read_kept(tmp_path / "none")
    assert "without their ending" in caught.value.allowed


def test_concepts_are_found_by_directory_stem_and_file(tmp_path: Path) -> None:
    (tmp_path / "concepts.json").write_text("{}")
    stem = tmp_path / "concepts"
    for named in (tmp_path, stem, stem.with_suffix(".json"), stem.with_suffix(".safetensors")):
        assert concepts_at(named) == stem


def test_a_folder_without_concepts_is_named_as_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no concepts") as caught:
        concepts_at(tmp_path)
    assert "shiftlens learn" in caught.value.remedy
    with pytest.raises(StoreError, match=r"none\.json does not exist"):
        concepts_at(tmp_path / "none")
