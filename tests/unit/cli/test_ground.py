"""``shiftlens ground``: words and pictures of concepts, and what it refuses."""

import json
import shlex
from pathlib import Path

import pytest
from PIL import Image

from shiftlens.cli import main as cli
from shiftlens.cli.concept_files import concepts_at
from shiftlens.concepts.concepts import Concepts
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def folder(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """States of the world's people, and three concepts without words."""
    folder = tmp_path_factory.mktemp("ground")
    data = materialise("people", folder / "data", n=24, seed=3).parent
    words = f"harvest {base_path} {data} -o {folder / 's'} --words person,man,woman --quiet"
    assert cli.run_app([*words.split(), "--max-new-tokens", "12"]) == 0
    learned = f"learn {folder / 's'} -o {folder / 'c'} --k 3 --quiet"
    assert cli.run_app(learned.split()) == 0
    return folder


@pytest.fixture
def words(folder: Path, base_path: Path, tmp_path: Path) -> list[str]:
    """A command that leaves the concepts of the fixture as they are."""
    paths = [str(folder / "c"), str(folder / "s")]
    return ["ground", *paths, "--model", str(base_path), "-o", str(tmp_path / "g")]


def test_words_and_pictures_in_eighty_columns(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--n-words", "4", "--n-images", "2"]) == 0
    said = capsys.readouterr().out
    found = Concepts.load(tmp_path / "g")
    assert [len(one) for one in found.words] == [4, 4, 4]
    assert all(", ".join(one) in said for one in found.contrastive)
    assert all(one in said for images in found.images for one in images)
    assert len(Concepts.load(Path(words[1]) / "concepts").words) == 0
    lines = [line for line in said.splitlines() if str(tmp_path.parent.parent) not in line]
    assert max(map(len, lines)) <= 80
    follow = shlex.split(next(one for one in said.splitlines() if one.startswith("  next")))
    assert follow[1:3] == ["shiftlens", "explain"]
    assert Path(follow[4]).suffix == ".png"


def test_the_next_command_names_the_adapter(
    folder: Path,
    base_path: Path,
    adapter_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without it ``explain`` would refuse the concepts."""
    tuned = ["--adapter", str(adapter_path)]
    store, out = str(tmp_path / "s"), str(tmp_path / "c")
    data, more = str(folder / "data"), ["--tokens", "first-response", "-n", "6"]
    assert (
        cli.run_app(["harvest", str(base_path), data, "-o", store, *tuned, *more, "--quiet"]) == 0
    )
    assert cli.run_app(["learn", store, "-o", out, "--k", "2"]) == 0
    assert f"--model {base_path} --adapter {adapter_path}" in capsys.readouterr().out
    assert cli.run_app(["ground", out, store, "--model", str(base_path), *tuned]) == 0
    said = capsys.readouterr().out
    follow = shlex.split(next(one for one in said.splitlines() if one.startswith("  next")))
    assert cli.run_app([*follow[2:], "-o", str(tmp_path / "e"), "--maps", "0", "--quiet"]) == 0


def test_sheets_of_concepts_that_are_no_more_are_removed(words: list[str], tmp_path: Path) -> None:
    sheets = tmp_path / "sheets"
    sheets.mkdir()
    for name in ("concept-02.png", "concept-17.png", "concept-a.png", "notes.txt"):
        (sheets / name).write_text("before")
    assert cli.run_app([*words, "--sheets", str(sheets), "--quiet"]) == 0
    kept = {"concept-00.png", "concept-01.png", "concept-02.png", "concept-a.png", "notes.txt"}
    assert {one.name for one in sheets.iterdir()} == kept
    assert (sheets / "concept-02.png").read_bytes() != b"before"


def test_pictures_that_are_gone_are_told(
    base_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = materialise("people", tmp_path / "data", n=4, seed=3).parent
    store, out = str(tmp_path / "s"), str(tmp_path / "c")
    asked = ["harvest", str(base_path), str(data), "-o", store, "--tokens", "mean-image"]
    assert cli.run_app([*asked, "--quiet"]) == 0
    assert cli.run_app(["learn", store, "-o", out, "--k", "1", "--quiet"]) == 0
    grounded = ["ground", out, store, "--model", str(base_path)]
    assert cli.run_app(grounded) == 0
    assert "no longer there" not in capsys.readouterr().out
    for path in data.rglob("*.png"):
        path.unlink()
    assert cli.run_app(grounded) == 0
    assert "4 pictures are no longer there, " in capsys.readouterr().out


def test_sheets_are_drawn(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheets = tmp_path / "sheets"
    assert cli.run_app([*words, "--n-images", "3", "--sheets", str(sheets)]) == 0
    assert f"sheets    {sheets}" in capsys.readouterr().out
    drawn = sorted(sheets.iterdir())
    assert [one.name for one in drawn] == ["concept-00.png", "concept-01.png", "concept-02.png"]
    with Image.open(drawn[0]) as picture:
        assert picture.width > 320
        colours = picture.convert("RGB").getcolors(2**20) or []
        assert len(colours) > 50  # the pictures themselves


def test_only_words_of_a_list_and_json(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few.txt").write_text("Man\nwoman\n\nsurfer\n", encoding="utf-8")
    assert cli.run_app([*words, "--words", str(tmp_path / "few.txt"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {word for one in document["words"] for word in one} == {"man", "woman", "surfer"}
    assert document["saved"] == str(tmp_path / "g")
    assert cli.run_app([*words, "--words", "man,woman", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_stop_words_are_left_out(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lists: list[set[str]] = []
    for stops in ("none", "en", "all"):
        assert cli.run_app([*words, "--n-words", "40", "--stop-words", stops, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        lists.append({word for one in document["words"] for word in one})
    assert lists[0] & {"a", "is", "the", "on", "in"}
    assert not (lists[1] | lists[2]) & {"a", "is", "the", "on", "in"}


def test_without_out_the_concepts_are_changed_in_place(
    words: list[str], folder: Path, tmp_path: Path
) -> None:
    Concepts.load(folder / "c" / "concepts").save(tmp_path / "mine")
    assert cli.run_app(["ground", str(tmp_path / "mine.json"), *words[2:5], "--quiet"]) == 0
    assert len(Concepts.load(tmp_path / "mine").words) == 3


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--n-words", "0"], "cannot list 0 words"),
        (["--against", "nobody"], "cannot be told from 'nobody'"),
        (["--words", " ,"], "names no word"),
        (["--words", "xyzzy"], "xyzzy"),
        (["--stop-words", "klingon"], "no file and no language"),
    ],
)
def test_mistakes_are_one_message(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, *more]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


def test_empty_and_binary_lists_are_one_message(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00man")
    for option in ("--words", "--stop-words"):
        assert cli.run_app([*words, option, str(tmp_path / "empty.txt")]) == 2
        assert "holds no word" in capsys.readouterr().err
        assert cli.run_app([*words, option, str(tmp_path / "binary.txt")]) == 2
        assert "is no text in UTF-8" in capsys.readouterr().err


def test_what_does_not_belong_together_is_refused(
    words: list[str],
    folder: Path,
    base_path: Path,
    adapter_path: Path,
    tiny_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run_app([*words[:4], str(tiny_path), "-o", str(tmp_path / "g")]) == 2
    said = capsys.readouterr().err
    assert "did not come from" in said
    assert f"the model that was harvested: {base_path}" in " ".join(said.split())
    # Concepts of the base beside the states of its fine-tune.
    other = f"harvest {base_path} {folder / 'data'} -o {tmp_path / 't'} --samples 6 --quiet"
    assert cli.run_app([*other.split(), "--adapter", str(adapter_path)]) == 0
    command = ["ground", str(folder / "c"), str(tmp_path / "t"), "--model", str(base_path)]
    assert cli.run_app([*command, "--adapter", str(adapter_path)]) == 2
    assert "another model's states" in capsys.readouterr().err
    # The same model's states at the end of prompts, beside concepts of words.
    other = f"harvest {base_path} {folder / 'data'} -o {tmp_path / 'end'} --samples 6 --quiet"
    assert cli.run_app(other.split()) == 0
    kept = (folder / "c" / "concepts.json").read_bytes()
    command = ["ground", str(folder / "c"), str(tmp_path / "end"), "--model", str(base_path)]
    assert cli.run_app(command) == 2
    assert "holds states of 'last prompt'" in " ".join(capsys.readouterr().err.split())
    assert (folder / "c" / "concepts.json").read_bytes() == kept
    assert cli.run_app(["ground", str(tmp_path / "none"), *words[2:]]) == 2
    assert "none.json" in capsys.readouterr().err


def test_concepts_by_any_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "concepts.json").write_text("{}")
    for named in ("c", "c/concepts", "c/concepts.json", "c/concepts.safetensors"):
        assert concepts_at(tmp_path / named) == tmp_path / "c" / "concepts"
    (tmp_path / "c.json").write_text("{}")  # concepts that lie beside a directory of their name
    assert concepts_at(tmp_path / "c") == tmp_path / "c"
