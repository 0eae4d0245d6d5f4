"""Which layout a folder has, and what the readers have in common."""

from pathlib import Path

import pytest
from tests.unit.data.layout_files import captions, coco_name, genome, picture, pope, safety, vqav2

from shiftlens.core.errors import DataError, ShiftLensError
from shiftlens.data import layouts as package
from shiftlens.data.layouts import layout_of, layouts
from shiftlens.data.layouts.layout import asked
from shiftlens.data.layouts.pictures import split_in
from shiftlens.data.reading import read

_MAKERS = {
    "vqav2": vqav2,
    "coco_captions": captions,
    "pope": pope,
    "mm_safetybench": safety,
    "visual_genome": genome,
}


def test_every_layout_is_registered_with_its_function() -> None:
    assert layouts.names() == tuple(sorted(_MAKERS))
    for name in layouts.names():
        layout = layouts.get(name)
        assert getattr(package, layout.function) is layout.read
    with pytest.raises(ShiftLensError, match="unknown layout 'okvqa'"):
        layouts.get("okvqa")


@pytest.mark.parametrize("name", sorted(_MAKERS))
def test_each_fits_itself_and_no_other(tmp_path: Path, name: str) -> None:
    root = _MAKERS[name](tmp_path)
    assert [one for one in layouts.names() if layouts.get(one).fits(root)] == [name]
    assert layout_of(root) is layouts.get(name)


def test_a_plain_folder_has_none(tmp_path: Path) -> None:
    picture(tmp_path / "data" / "imgs" / "a.jpg")
    (tmp_path / "processed_questions").mkdir()
    assert layout_of(tmp_path) is None
    assert layout_of(tmp_path / "data" / "imgs" / "a.jpg") is None
    assert len(read(tmp_path, prompt="?")) == 1


def test_two_layouts_in_one_folder_are_not_guessed(tmp_path: Path) -> None:
    captions(vqav2(tmp_path))
    with pytest.raises(DataError, match="more than one data set") as caught:
        read(tmp_path, prompt="?")
    assert "read_coco_captions(path), read_vqav2(path)" in str(caught.value)
    assert len(package.read_vqav2(tmp_path)) == 3
    assert len(package.read_coco_captions(tmp_path, prompt="?")) == 2


def test_rows_of_ones_own_come_before_any_layout(tmp_path: Path) -> None:
    (vqav2(tmp_path) / "data.jsonl").write_text('{"prompt": "mine"}\n')
    assert [s.prompt for s in read(tmp_path)] == ["mine"]


@pytest.mark.parametrize("name", sorted(_MAKERS))
def test_reading_twice_or_elsewhere_gives_the_same(tmp_path: Path, name: str) -> None:
    first = read(_MAKERS[name](tmp_path / "a"), prompt="{question}")
    again = read(_MAKERS[name](tmp_path / "b"), prompt="{question}")
    assert first.fingerprint == again.fingerprint
    assert list(first) == list(read(tmp_path / "a", prompt="{question}"))
    cut = read(tmp_path / "a", prompt="{question}", limit=1)
    assert list(cut) == [first[0]]
    assert cut.root == (tmp_path / "a").resolve()


def test_other_sources_hear_of_the_layouts(tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere", picture(tmp_path / "data.xlsx")):
        with pytest.raises(
            DataError, match="coco_captions, mm_safetybench, pope, visual_genome, vqav2"
        ):
            read(source)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (None, "Why?"),
        ("Now!", "Now!"),
        ("{question} {x}", "Why? {x}"),
        ("{Question}", "{Question}"),
    ],
)
def test_a_prompt_may_hold_the_question(prompt: str | None, expected: str) -> None:
    assert asked("Why?", prompt) == expected


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("captions_val2014.json", "val2014"),
        ("v2_OpenEnded_mscoco_test-dev2015_questions.json", "test-dev2015"),
        ("v2_OpenEnded_mscoco_train2014_questions.json", "train2014"),
        ("captions_val.json", None),
    ],
)
def test_a_split_is_read_from_a_name(name: str, split: str | None) -> None:
    assert split_in(name) == split


def test_names_that_no_file_can_have_are_missing_pictures(tmp_path: Path) -> None:
    captions(tmp_path, spoil=lambda table: table["images"][0].update(file_name="x" * 300))
    picture(tmp_path / "val2014" / coco_name(7))
    assert [s.id for s in read(tmp_path, prompt="?")] == ["7", "42"]


@pytest.mark.parametrize("name", sorted(_MAKERS))
def test_links_that_run_in_circles_are_missing_pictures(tmp_path: Path, name: str) -> None:
    root = _MAKERS[name](tmp_path)
    whole = read(root, prompt="{question}")
    for sample in whole[1:]:
        path = Path(sample.images[0])
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(path)
    assert [s.id for s in read(root, prompt="{question}")] == [s.id for s in whole]
    assert read(root, prompt="{question}").fingerprint == whole.fingerprint


def test_a_json_file_of_another_name_says_which_are_read(tmp_path: Path) -> None:
    (tmp_path / "llava.json").write_text("[]")
    with pytest.raises(DataError, match=r"not something(?s:.)*one a line in a .jsonl"):
        read(tmp_path / "llava.json")
