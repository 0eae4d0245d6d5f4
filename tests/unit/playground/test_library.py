"""What a run offers, and what is said of one that is empty, damaged or not there."""

import json
from pathlib import Path

import pytest
import torch
from tests.builders import build_vector
from tests.unit.playground.builders import (
    build_concepts,
    build_discovery,
    build_run,
    ungrounded,
)

from shiftlens.core.errors import ShiftLensError
from shiftlens.playground import shelves
from shiftlens.playground.library import Library
from shiftlens.playground.thumbnails import Thumbnails


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def library(run: Path) -> Library:
    return Library.open(run)


def test_every_kind_of_result_is_found_by_its_place(library: Library) -> None:
    assert set(library.found.concepts) == {"words/concepts"}
    assert set(library.found.shifts) == {"words/shift"}
    assert set(library.found.vectors) >= {"steering/vector-0", "steering/stranger", "odd"}
    assert set(library.found.stores) == {"states"}
    assert library.found.damaged == []
    assert not library.empty


def test_one_vector_at_several_layers_is_one_direction(library: Library) -> None:
    (one,) = [one for one in library.directions.values() if one.title == "louder"]
    assert one.layers == (0, 1, 3)
    assert [one.vectors[layer].layer for layer in one.layers] == [0, 1, 3]
    assert [one.nearest(at) for at in (None, 0, 1.9, 2.1, 99)] == [3, 0, 1, 3, 3]


def test_affine_edits_and_discovered_directions_are_directions(library: Library) -> None:
    titles = {one.title: one for one in library.directions.values()}
    assert titles["two out"].about == "LEACE, steering/edit"
    assert titles["two out"].layers == (2,)
    between = titles["concept 2 -> 0: more"]
    assert (between.rank, between.sources) == (1, {1: "words/discovery"})
    expected = library.found.concepts["words/concepts"]
    assert between.vectors[1].direction.tolist() == pytest.approx(
        (expected.vectors[0] - expected.vectors[2]).tolist()
    )
    assert [Path(path).name for path in between.examples] == ["picture-0.png", "picture-1.png"]
    assert set(library.found.gates) == {"gates/open", "gates/closed"}
    assert library.models == ["synthetic", "world:base"]


def test_a_discovery_without_its_concepts_offers_nothing(tmp_path: Path) -> None:
    build_discovery().save(tmp_path / "discovery.json")
    assert Library.open(tmp_path).directions == {}
    build_concepts(d=8, vectors=torch.zeros(1, 8), sizes=(1,), words=("a",), images=((),)).save(
        tmp_path / "concepts"
    )
    assert Library.open(tmp_path).directions == {}


def test_a_run_that_changes_is_noticed(tmp_path: Path) -> None:
    build_vector().save(tmp_path / "first")
    library = Library.open(tmp_path)
    assert not library.changed
    assert shelves.changed(library) == ""
    build_vector(seed=2).save(tmp_path / "second")
    assert "has changed since it was read" in shelves.changed(library)
    assert not Library.open(tmp_path).changed
    (tmp_path / "second.json").unlink()
    assert not library.changed
    (tmp_path / "first.json").unlink()
    assert library.changed


def test_two_vectors_of_one_layer_are_two_directions(tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_vector(name="same", seed=len(name)).save(tmp_path / name)
    found = Library.open(tmp_path).directions
    assert [one.layers for one in found.values()] == [(1,), (1,)]
    assert len({tuple(one.sources.values()) for one in found.values()}) == 2


def test_shifts_of_concepts_are_directions_with_their_words_and_pictures(library: Library) -> None:
    shifts = [one for one in library.directions.values() if one.concept is not None]
    assert [one.concept for one in shifts] == [0, 1, 2]
    assert "“dog”" in shifts[0].title
    assert "came: snow" in shifts[0].about
    assert [Path(path).name for path in shifts[1].examples] == ["picture-2.png", "picture-3.png"]


def test_pictures_are_those_of_the_same_collection(library: Library) -> None:
    found = library.pictures({"data": "data"}, ["s4", "nobody"])
    assert [Path(one).name for one in found] == ["picture-4.png"]
    assert library.pictures({"data": "another"}, ["s4"]) == ()


def test_hidden_and_missing_pictures_are_left_out(tmp_path: Path) -> None:
    import torch
    from tests.builders import build_store

    names = ["hidden:0123456789abcdef", str(tmp_path / "gone.png")]
    build_store(tmp_path / "states", torch.zeros(2, 4), images=names)
    assert Library.open(tmp_path).examples == []


def test_a_damaged_result_costs_itself_alone(run: Path, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(run, tmp_path / "copy"))
    (root / "words" / "shift.safetensors").write_bytes(b"torn")
    (root / "odd.json").write_text('{"kind": "steering vector", "sch')
    half = json.loads((root / "words" / "concepts.json").read_text())
    del half["data"]["site"]
    (root / "words" / "concepts.json").write_text(json.dumps(half))
    (root / "states" / "rows-0.parquet").write_bytes(b"torn")
    library = Library.open(root)
    told = {one.path: one.why for one in library.found.damaged}
    assert set(told) == {
        "words/shift.json",
        "odd.json",
        "words/concepts.json",
        "states/manifest.json",
    }
    assert all(why and "\n" not in why and "Traceback" not in why for why in told.values())
    assert "steering/vector-0" in library.found.vectors
    page = shelves.contents(library)
    assert all(path in page for path in told)


def test_what_has_not_ended_is_named(tmp_path: Path) -> None:
    for name, mark in (
        ("a", "answers/manifest.json"),
        ("b", "cells.jsonl"),
        ("c", "stages/x.json"),
    ):
        (tmp_path / name / mark).parent.mkdir(parents=True)
        (tmp_path / name / mark).write_text("{}")
    (tmp_path / "b" / "fit").mkdir()
    (tmp_path / "b" / "fit" / "x.json").write_text("{}")
    library = Library.open(tmp_path)
    told = {one.path: one.why for one in library.found.unfinished}
    assert set(told) == {"a", "b", "c"}
    assert told["a"].startswith("shiftlens diff has begun here and not ended")
    assert "Not finished:" in shelves.empty(library)
    for name, end in (("a", "diff.json"), ("b", "search.json"), ("c", "metrics.json")):
        (tmp_path / name / end).write_text("{}")
    assert Library.open(tmp_path).found.unfinished == []


def test_a_file_that_was_cut_off_is_named_whatever_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text('{"kind": "search", "ab')
    build_vector(name="whole").save(tmp_path / "whole")
    found = Library.open(tmp_path).found
    assert [one.path for one in found.damaged] == ["search.json"]
    assert list(found.vectors) == ["whole"]


def test_where_the_run_lies_is_not_said_with_every_file(tmp_path: Path) -> None:
    build_vector().save(tmp_path / "one")
    (tmp_path / "one.safetensors").unlink()
    (one,) = Library.open(tmp_path).found.damaged
    assert str(tmp_path) not in one.why


def test_two_directions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        build_vector(name="yes to no", seed=len(folder)).save(tmp_path / folder / "best")
    build_vector(name="other").save(tmp_path / "other")
    titles = [one.title for one in Library.open(tmp_path).directions.values()]
    assert sorted(titles) == ["other", "yes to no (first)", "yes to no (second)"]


def test_a_run_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ShiftLensError, match="does not exist"):
        Library.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ShiftLensError, match="is not a directory"):
        Library.open(tmp_path / "file")


def test_an_empty_run_says_what_to_do(tmp_path: Path) -> None:
    library = Library.open(tmp_path)
    assert library.empty
    page = shelves.empty(library)
    assert "shiftlens demo --out" in page
    assert str(tmp_path) in page


def test_links_out_of_the_run_are_not_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(run)
    for end in (".json", ".safetensors"):
        (tmp_path / f"vector{end}").symlink_to(run / "steering" / f"vector-0{end}")
    assert Library.open(tmp_path).empty


def test_other_json_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_text("{")
    assert Library.open(tmp_path).found.damaged == []


def test_concepts_are_shown_with_words_pictures_and_shares(library: Library) -> None:
    page = shelves.concepts(library, "words/concepts", Thumbnails())
    assert page.count("<article") == 3
    assert "50% of the states" in page
    assert page.count("data:image/webp") == 5  # of six names, one is nobody's
    shifted = shelves.concepts(library, "words/shift", Thumbnails())
    assert 'class="chip came"><span class="text" dir="auto">snow<' in shifted
    assert "nan" not in shifted


def test_concepts_without_words_say_how_to_get_them(tmp_path: Path) -> None:
    ungrounded(build_concepts()).save(tmp_path / "concepts")
    library = Library.open(tmp_path)
    assert "shiftlens ground" in shelves.concepts(library, "concepts", Thumbnails())
    assert library.grounded == {}
    assert "not in the run" in shelves.concepts(library, "../../etc", Thumbnails())
