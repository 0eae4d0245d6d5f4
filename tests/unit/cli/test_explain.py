"""``shiftlens explain``: a page, JSON, and mistakes in one message."""

import json
from pathlib import Path

import pytest

import shiftlens as sl
from shiftlens.cli import main as cli
from shiftlens.data.reading import read
from shiftlens.world.source import materialise


@pytest.fixture(scope="module")
def words(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A run on a picture that no concept was learned from."""
    folder = tmp_path_factory.mktemp("explain")
    samples = read(materialise("dog", folder / "data", n=24, seed=3))
    given = samples.with_responses({one.id: "a dog" for one in samples})
    model = sl.load_model(base_path)
    site = sl.Site(4, sl.tokens.word("dog"))
    store = sl.harvest(model, given[:-1], site, folder / "store", response="given")
    concepts = sl.learn(store, sl.KMeans(k=2))
    concepts.save(folder / "bare")
    sl.ground(concepts, store, model.readout, n_words=5).save(folder / "concepts")
    said = f"explain {base_path} {samples[-1].images[0]} --concepts {folder / 'concepts'}"
    more = f"--store {folder / 'store'} -o {folder / 'out'} --max-new-tokens 8"
    return [*said.split(), *more.split(), "--prompt", samples[-1].prompt, "--response", "a dog"]


def test_a_page_in_eighty_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("“a dog”")
    assert "at the site" in said
    assert "at “dog”: " in said
    lines = [one for one in said.splitlines() if not one.startswith(("page:", "/"))]
    assert max(map(len, lines)) <= 80
    out = Path(words[words.index("-o") + 1])
    assert {"explanation.json", "explanation.html", "picture-0.png"} <= {
        one.name for one in out.iterdir()
    }


def test_a_picture_of_one_s_own_is_named_with_an_option(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    own = tmp_path / "own.jpg"
    Image.new("RGB", (97, 61), "#88aacc").save(own)
    rest = [*words[:2], *words[3:], "--maps", "0"]
    assert cli.run_app([*rest, "--image", str(own), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["text"] for one in document["words"]] == ["a", "dog"]
    out = Path(words[words.index("-o") + 1])
    with Image.open(out / document["pictures"][0]) as kept:
        assert kept.size == (97, 61)
    for said, message in (
        ([*words, "--image", str(own)], "two pictures: "),
        (rest, "no picture to explain"),
        ([*rest, "--image", str(tmp_path / "none.jpg")], "none.jpg"),
    ):
        assert cli.run_app(said) == 2
        found = capsys.readouterr().err
        assert message in found
        assert "Traceback" not in found


def test_json_is_the_file(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_app([*words, "--json", "--maps", "0"]) == 0
    document = json.loads(capsys.readouterr().out)
    out = Path(words[words.index("-o") + 1])
    assert document == json.loads((out / "explanation.json").read_text())
    assert [one["text"] for one in document["words"]] == ["a", "dog"]
    assert document["heat_maps"] == []
    assert cli.run_app([*words, "--quiet", "--maps", "0"]) == 0
    assert capsys.readouterr().out == ""


def test_chosen_words_are_told_in_full(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_app([*words, "--words", "Dog", "--by", "occlusion", "--maps", "1"]) == 0
    said = capsys.readouterr().out
    rows = [one for one in said.splitlines() if " no " in one or " yes " in one]
    assert len(rows) == 2  # both concepts, at the one word
    assert "random ones" in said
    assert "outside:" not in said  # the key has no entry for what is not in the table


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--words", "cat"], "does not say 'cat'"),
        (["--response", ""], "holds no words"),
        (["--by", "magic"], "unknown method 'magic'"),
        (["--concepts", "nowhere/at/all"], "nowhere/at/all.json does not exist"),
        (["--store", "nowhere/at/all"], "holds no store"),
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


def test_concepts_without_words_are_sent_to_ground(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Path(words[words.index("--concepts") + 1]).with_name("bare")
    assert cli.run_app([*words, "--concepts", f"{bare}.safetensors"]) == 2
    assert "shiftlens ground" in capsys.readouterr().err
