"""COCO's captions: references at their picture, in a stable order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.layout_files import captions, coco_name, picture

from shiftlens.core.errors import DataError
from shiftlens.data.layouts import read_coco_captions
from shiftlens.data.reading import read

_PROMPT = "Describe the picture."


def test_every_picture_gets_its_references(tmp_path: Path) -> None:
    samples = read_coco_captions(captions(tmp_path), prompt=_PROMPT)
    assert [s.id for s in samples] == ["7", "42"]
    assert samples[0].labels == {"captions": ["A cat."]}
    assert samples[1].labels == {"captions": ["One dog, alone.", "A dog."]}, "by their ids"
    assert samples[1].images == (str(tmp_path.resolve() / "val2014" / coco_name(42)),)
    assert {s.prompt for s in samples} == {_PROMPT}
    assert {s.response for s in samples} == {None}
    assert [Path(s.images[0]).is_file() for s in samples] == [False, True]


def test_read_recognises_the_folder_and_the_file(tmp_path: Path) -> None:
    captions(tmp_path)
    whole = list(read_coco_captions(tmp_path, prompt=_PROMPT))
    assert list(read(tmp_path, prompt=_PROMPT)) == whole
    assert list(read(tmp_path / "annotations", prompt=_PROMPT)) == whole
    assert list(read(tmp_path / "annotations" / "captions_val2014.json", prompt=_PROMPT)) == whole
    assert [s.id for s in read(tmp_path, prompt=_PROMPT, limit=1)] == ["7"]
    with pytest.raises(DataError, match="limit -1"):
        read(tmp_path, prompt=_PROMPT, limit=-1)


def test_twin_a_picture_folder_with_another_json_is_no_layout(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    for name in (
        "captions.json",
        "captions_mine.json",
        "my_questions.json",
        "instances_val2014.json",
    ):
        (tmp_path / name).write_text("{}")
    assert [s.id for s in read(tmp_path, prompt="?")] == ["a.jpg"]
    with pytest.raises(DataError, match="not something that can be read"):
        read(tmp_path / "captions.json", prompt="?")


def test_without_a_prompt_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="captions without questions") as caught:
        read(captions(tmp_path))
    assert "prompt=" in str(caught.value)


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    captions(tmp_path)
    captions(tmp_path, "train2017", lambda table: table["annotations"][1].update(caption="t"))
    with pytest.raises(DataError, match="several files of captions"):
        read(tmp_path, prompt=_PROMPT)
    train = read_coco_captions(tmp_path, split="train2017", prompt=_PROMPT)
    assert train[0].labels["captions"] == ["t"]
    assert "train2017" in train[0].images[0]
    with pytest.raises(DataError, match="no file of captions of val2017"):
        read_coco_captions(tmp_path, split="val2017", prompt=_PROMPT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no file of captions\n  captions_val2014.json"):
        read_coco_captions(tmp_path / "empty", prompt=_PROMPT)


def test_another_name_needs_the_folder_of_pictures(tmp_path: Path) -> None:
    file = captions(tmp_path) / "annotations" / "captions_val2014.json"
    mine = file.rename(tmp_path / "mine.json")
    with pytest.raises(DataError, match=r"mine.json does not say its split"):
        read_coco_captions(mine, prompt=_PROMPT)
    samples = read_coco_captions(mine, folder=tmp_path / "val2014", prompt=_PROMPT)
    assert Path(samples[1].images[0]).is_file()


def test_blank_captions_are_left_out(tmp_path: Path) -> None:
    captions(tmp_path, spoil=lambda table: table["annotations"][0].update(caption=" \n"))
    samples = read_coco_captions(tmp_path, prompt=_PROMPT)
    assert samples[1].labels == {"captions": ["One dog, alone."]}


def test_pictures_without_captions_are_passed_over(tmp_path: Path) -> None:
    captions(tmp_path / "a", spoil=lambda table: table["annotations"].pop(1))
    captions(tmp_path / "b", spoil=lambda table: table["annotations"][1].update(caption=" "))
    for name in "ab":
        assert [s.id for s in read(tmp_path / name, prompt=_PROMPT)] == ["42"]
    captions(tmp_path / "c", spoil=lambda table: table["annotations"].clear())
    with pytest.raises(DataError, match="holds no samples"):
        read(tmp_path / "c", prompt=_PROMPT)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda t: t["annotations"][2].update(image_id=5),
            "row 3 of annotations in captions_val2014.json: no picture has the id 5",
        ),
        (lambda t: t["annotations"][0].update(caption=3), "row 1 of annotations .*is no text"),
        (lambda t: t["annotations"][1].update(id=12), "row 2 .*repeats the id 12 of row 1"),
        (lambda t: t["images"][1].update(id=42), "row 2 of images .*repeats the id 42 of row 1"),
        (
            lambda t: t["images"][1].update(file_name="../../x.png"),
            "row 2 of images .*'file_name' is '../../x.png', which is not inside",
        ),
        (lambda t: t["images"][0].update(file_name="/etc/passwd"), "row 1 .*is not inside"),
        (lambda t: t["images"][0].update(file_name="a\0.png"), "row 1 .*is not inside"),
        (lambda t: t["images"][0].pop("file_name"), "row 1 of images .*'file_name' is missing"),
        (lambda t: t.pop("annotations"), "'annotations' is missing\n  a list; there is images"),
        (lambda t: t.update(images={}), r"captions_val2014.json: 'images' is \{\}"),
    ],
)
def test_a_bad_row_is_named_by_file_and_row(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(captions(tmp_path, spoil=spoil), prompt=_PROMPT)


def test_without_any_picture_the_folder_is_named(tmp_path: Path) -> None:
    captions(tmp_path)
    (tmp_path / "val2014" / coco_name(42)).unlink()
    with pytest.raises(DataError, match="no picture of 2 is in") as caught:
        read(tmp_path, prompt=_PROMPT)
    assert str(tmp_path.resolve() / "val2014") in str(caught.value)
    (tmp_path / "val2014").rmdir()
    with pytest.raises(DataError, match="there is no image folder at"):
        read(tmp_path, prompt=_PROMPT)
