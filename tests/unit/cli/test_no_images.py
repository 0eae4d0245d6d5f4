"""``--no-images``: after a run nothing on the disk names a picture or shows one; its twin does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.builders import build_vector

from shiftlens.activations.survey import survey
from shiftlens.cli import main as cli
from shiftlens.data.reading import read
from shiftlens.models.model import Model
from shiftlens.reporting.html import write_report
from shiftlens.study.diff.running import diff
from shiftlens.study.diff.settings import DiffSettings
from shiftlens.world.source import materialise

_FOLDER, _NAME = "private-album", "anna-smith"
_SHOWN = ("data:image/", "iVBORw0KGgo", "/9j/4AAQ")
_PICTURE = (b"\x89PNG\r\n", b"\xff\xd8\xff")


def _named_in(out: Path) -> set[str]:
    """Which needles stand in any file below a folder, also inside of compressed tables."""
    needles = {_FOLDER, _NAME, *_SHOWN}
    found: set[str] = set()
    for file in out.rglob("*"):
        content = b"" if file.is_dir() else file.read_bytes()
        if file.suffix == ".parquet":
            content += json.dumps(pq.read_table(file).to_pylist(), default=str).encode()
        content += str(file.relative_to(out)).encode()
        found |= {one for one in needles if one.encode() in content}
        found |= {"a picture" for magic in _PICTURE if magic in content}
    return found


@pytest.fixture
def album(tmp_path: Path, pictures: list[Path]) -> Path:
    """Six pictures in a folder, one of them broken: the reason for that must not name it."""
    folder = tmp_path / _FOLDER
    folder.mkdir()
    for number, picture in enumerate(pictures):
        shutil.copy(picture, folder / f"{_NAME}-{number}.png")
    (folder / f"{_NAME}-broken.png").write_bytes(b"\x89PNG\r\n no more")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., set[str]]:
    """Run a verb into a folder of its own; gives what its files name."""

    def go(verb: str, *words: object, out: str, flag: bool = True, to: str = "-o") -> set[str]:
        folder = tmp_path / "out" / out
        options = ["--no-images"] if flag else []
        assert cli.run_app([verb, *map(str, words), to, str(folder), *options, "--quiet"]) == 0
        return _named_in(folder)

    return go


@pytest.mark.slow
def test_stores_concepts_and_explanations(
    album: Path, tiny_path: Path, tmp_path: Path, run: Callable[..., set[str]]
) -> None:
    asked = (tiny_path, album, "--prompt", "describe the picture .", "--max-new-tokens", 4)
    for flag, name in ((True, "hidden"), (False, "plain")):
        expected = set() if flag else {_FOLDER, _NAME}
        store = tmp_path / "out" / f"{name}-store"
        assert run("harvest", *asked, out=store.name, flag=flag) == expected
        options = ("--k", 2, "--model", tiny_path)
        found = run("learn", store, *options, out=f"{name}-c", flag=flag)
        assert found == expected - {_FOLDER}
        concepts = tmp_path / "out" / f"{name}-c"
        explained = run(
            "explain",
            tiny_path,
            album / f"{_NAME}-1.png",
            *("--prompt", "describe the picture .", "--concepts", concepts, "--maps", 1),
            *("--store", store, "--max-new-tokens", 4),
            out=f"{name}-e",
            flag=flag,
        )
        assert explained == (set() if flag else {*expected, "data:image/", "/9j/4AAQ", "a picture"})


def test_a_hidden_store_still_knows_which_states_are_of_one_picture(
    pictures: list[Path], tiny_path: Path, tmp_path: Path
) -> None:
    from shiftlens.activations.store import ActivationStore

    rows = [
        {"image": str(pictures[number // 2]), "prompt": "describe the picture .", "id": str(number)}
        for number in range(6)
    ]
    data = tmp_path / "d.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    for name, more in (("h", ["--no-images"]), ("p", [])):
        words = ["harvest", str(tiny_path), str(data), "-o", str(tmp_path / name), "--quiet"]
        assert cli.run_app([*words, "--max-new-tokens", "2", *more]) == 0
    hidden, plain = (ActivationStore.open(tmp_path / name) for name in "hp")
    assert hidden.states().equal(plain.states())
    images = [row.image for row in hidden.rows]
    assert images[::2] == images[1::2]
    assert len(set(images)) == 3
    assert len(set(hidden.sample_ids)) == 6


@pytest.mark.slow
def test_pictures_of_a_named_store_are_left_out_of_concepts(
    album: Path, tiny_path: Path, tmp_path: Path, run: Callable[..., set[str]]
) -> None:
    asked = (tiny_path, album, "--prompt", "describe the picture .", "--max-new-tokens", 2)
    run("harvest", *asked, out="s", flag=False)
    store = tmp_path / "out" / "s"
    assert run("learn", store, "--k", 2, "--model", tiny_path, out="c") == set()
    grounded = run("ground", tmp_path / "out" / "c", store, "--model", tiny_path, out="g/c")
    assert grounded == set()
    twin = run("ground", tmp_path / "out" / "c", store, "--model", tiny_path, out="t/c", flag=False)
    assert twin == set()  # the files lie beside the name that was given
    assert _named_in(tmp_path / "out" / "g") == set()
    assert _named_in(tmp_path / "out" / "t") == {_NAME}


def test_sheets_need_pictures(
    album: Path,
    tiny_path: Path,
    tmp_path: Path,
    run: Callable[..., set[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = (tiny_path, album, "--prompt", "describe the picture .", "--max-new-tokens", 2)
    run("harvest", *asked, out="s")
    store, concepts = tmp_path / "out" / "s", tmp_path / "out" / "c"
    run("learn", store, "--k", 2, "--model", tiny_path, out="c", flag=False)
    ground = ["ground", str(concepts), str(store), "--model", str(tiny_path)]
    assert cli.run_app([*ground, "--sheets", str(tmp_path / "sheets")]) == 2
    assert "made with --no-images" in capsys.readouterr().err
    assert cli.run_app([*ground, "--sheets", str(tmp_path / "sheets"), "--no-images"]) == 2
    assert "sheets are pictures" in capsys.readouterr().err
    assert not (tmp_path / "sheets").exists()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table beside pictures of the world's people, named after somebody."""
    source = materialise("people", tmp_path_factory.mktemp("w"), n=66, seed=3)
    folder = tmp_path_factory.mktemp("album") / _FOLDER
    folder.mkdir()
    rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        picture = folder / f"{_NAME}-{number}.png"
        shutil.copy(source.parent / row["image"], picture)
        row |= {"image": picture.name, "id": picture.stem}
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


_EXPERIMENT = """
title = "t"
base = "{base}"
tuned = "{tuned}"
max_new_tokens = 10
images = {images}
[data.people]
source = "{data}"
[[words]]
name = "person"
members = ["person", "man", "woman"]
data = "people"
k = 2
draws = 8
"""


@pytest.mark.slow
def test_a_study(
    people: Path,
    base_path: Path,
    adapter_path: Path,
    tmp_path: Path,
    run: Callable[..., set[str]],
) -> None:
    values = {"base": base_path, "tuned": adapter_path, "data": people}
    for images, expected in (("false", set[str]()), ("true", {_FOLDER, _NAME, "data:image/"})):
        file = tmp_path / f"{images}.toml"
        file.write_text(_EXPERIMENT.format(images=images, **values))
        found = run("run", file, out=f"r-{images}", flag=False, to="--out")
        assert found == set() if images == "false" else found >= expected


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_diff(people: Path, pair: tuple[Model, Model], tmp_path: Path) -> None:
    settings = DiffSettings(
        words=("person", "man", "woman"), k=2, margin=0.3, draws=20, kind_draws=10,
        n_examined=1, n_restored=4, max_new_tokens=12, batch_size=60, n_words=5, images=False,
    )  # fmt: skip
    samples = read(people)
    found = diff(*pair, samples, tmp_path / "hidden", settings=settings)
    write_report(found.document, tmp_path / "hidden" / "report.html")
    assert _named_in(tmp_path / "hidden") == set()
    # Its twin: the first thing that a diff writes names every picture.
    survey(*pair, samples, tmp_path / "plain", max_new_tokens=4)
    assert _named_in(tmp_path / "plain") == {_FOLDER, _NAME}


@pytest.mark.slow
def test_a_suggestion(people: Path, base_path: Path, run: Callable[..., set[str]]) -> None:
    asked = ("suggest", base_path, people, "--samples", 30, "--max-new-tokens", 8)
    assert run(*asked, out="s") == set()


@pytest.fixture
def judged(album: Path, tmp_path: Path) -> Path:
    """A table about the album beside it, with answers that can be judged."""
    rows = [
        {"image": f"{_FOLDER}/{one.name}", "id": one.stem, "prompt": "what is this ?"}
        for one in sorted(album.iterdir())
        if "broken" not in one.name
    ]
    file = tmp_path / f"{_NAME}.jsonl"
    file.write_text("\n".join(json.dumps(row | {"labels": {"answer": "dog"}}) for row in rows))
    return file


_STEERED = {
    "evaluate": "--task style --set words=unicorn --set max_new_tokens=2",
    "search": "--task style --set words=unicorn --set max_new_tokens=2 -n 2",
    "discover": "--layer 1 --k 2 --max-new-tokens 2",
}


@pytest.mark.parametrize("verb", _STEERED)
def test_what_steers_names_nobody(
    verb: str, judged: Path, tiny_path: Path, tmp_path: Path, run: Callable[..., set[str]]
) -> None:
    build_vector(length=80.0).save(tmp_path / "vector")
    words: list[object] = [tiny_path, judged, *_STEERED[verb].split(), "--controls", 1]
    if verb != "discover":
        words += ["--vector", tmp_path / "vector"]
    beside = ["--off-target", judged] if verb == "evaluate" else []
    assert run(verb, *words, *beside, out="hidden") == set()
    assert list((tmp_path / "out" / "hidden").iterdir())
    assert run(verb, *words, *beside, out="plain", flag=False) & {_FOLDER, _NAME}


@pytest.mark.slow
def test_a_trajectory(
    people: Path, base_path: Path, adapter_path: Path, run: Callable[..., set[str]]
) -> None:
    words = (base_path, adapter_path, people, "--margin", ".3", "--scales", "0,1", "--k", 2)
    words += ("--words", "person,man,woman", "--draws", 20, "--max-new-tokens", 10, "--answers")
    assert run("trajectory", *words, out="hidden") == set()
    assert run("trajectory", *words, out="plain", flag=False) >= {_FOLDER, _NAME}
