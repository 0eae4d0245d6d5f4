"""POPE: three files whose question ids are the same, and labels that must be yes or no."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.layout_files import coco_name, picture, pope, pope_rows, write_lines

from shiftlens.core.errors import DataError
from shiftlens.data.layouts import read_pope
from shiftlens.data.reading import read


def test_splits_with_the_same_ids_stay_apart(tmp_path: Path) -> None:
    samples = read_pope(pope(tmp_path))
    splits = ("random", "popular", "adversarial")
    assert [s.id for s in samples] == [f"{split}/{n}" for split in splits for n in (0, 1)]
    assert samples[2].labels == {"answer": "no", "split": "popular", "kind": "pope"}
    assert samples[3].labels["answer"] == "yes"
    assert samples[3].prompt == "Is there a dog in the image?"
    assert samples[0].images == (str(tmp_path.resolve() / "val2014" / coco_name(42)),)


def test_read_recognises_folders_and_files(tmp_path: Path) -> None:
    pope(tmp_path)
    whole = list(read_pope(tmp_path))
    assert list(read(tmp_path)) == whole
    assert list(read(tmp_path / "coco_pope_popular.json")) == whole[2:4]
    assert [s.id for s in read(tmp_path, limit=3)] == [s.id for s in whole[:3]]
    one = read(tmp_path, prompt="{question} Yes or no?")[0]
    assert one.prompt == "Is there a cat in the image? Yes or no?"


def test_one_split_alone_is_read(tmp_path: Path) -> None:
    assert [s.id for s in read(pope(tmp_path, "adversarial"))] == ["adversarial/0", "adversarial/1"]


@pytest.mark.parametrize("place", ["images", "images/val2014", "."])
def test_pictures_are_found_beside_the_files(tmp_path: Path, place: str) -> None:
    pope(tmp_path)
    (tmp_path / "val2014" / coco_name(42)).unlink()
    with pytest.raises(DataError, match="no picture of 1 is in") as caught:
        read(tmp_path)
    assert str(tmp_path.resolve() / "val2014") in str(caught.value)
    expected = picture(tmp_path / place / coco_name(42)).resolve()
    assert Path(read(tmp_path)[0].images[0]) == expected


@pytest.mark.parametrize("given", [".", "val2014"])
def test_pictures_elsewhere_are_named(tmp_path: Path, given: str) -> None:
    pope(tmp_path / "asked")
    (tmp_path / "asked" / "val2014").rename(tmp_path / "val2014")
    samples = read_pope(tmp_path / "asked", folder=tmp_path / given)
    assert Path(samples[0].images[0]).is_file()
    with pytest.raises(DataError, match=r"no image folder at .*nowhere"):
        read_pope(tmp_path / "asked", folder=tmp_path / "nowhere")


def test_labels_are_read_in_any_letter_case(tmp_path: Path) -> None:
    pope(tmp_path, "random")
    write_lines(tmp_path / "coco_pope_random.json", pope_rows("Yes "))
    assert [s.labels["answer"] for s in read(tmp_path)] == ["no", "yes"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"label": "maybe"}, "label is 'maybe'\n  yes, no"),
        ({"label": True}, "'label' is True"),
        ({"question_id": "one"}, "'question_id' is 'one'"),
        ({"question_id": 0}, "repeats the question_id 0"),
        ({"text": ""}, "'text' is ''"),
        ({"image": None}, "'image' is None"),
        ({"image": "../val2014/x.jpg"}, "'image' is '../val2014/x.jpg', which is not inside"),
        ([1], "is not a JSON object"),
        ("broken", "is not a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    bad = {**pope_rows()[0], "question_id": 7, **row} if isinstance(row, dict) else row
    pope(tmp_path)
    write_lines(tmp_path / "coco_pope_popular.json", [*pope_rows(), bad])
    with pytest.raises(DataError, match=f"line 3 of coco_pope_popular.json:? {message}"):
        read(tmp_path)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    file = pope(tmp_path, "random") / "coco_pope_random.json"
    file.write_text(file.read_text() + '\n{"question_id": ', encoding="utf-8")
    with pytest.raises(DataError, match=r"line 4 of coco_pope_random.json is not JSON"):
        read(tmp_path)
    file.write_text("\n")
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path)


def test_data_sets_about_other_pictures_are_not_mixed(tmp_path: Path) -> None:
    pope(tmp_path)
    write_lines(tmp_path / "gqa_pope_random.json", pope_rows())
    with pytest.raises(DataError, match=r"several data sets: .*gqa_pope_random.json"):
        read(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file of POPE"):
        read_pope(tmp_path / "empty")
