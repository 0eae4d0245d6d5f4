"""VQAv2: every label at its question, and every way in which the files do not belong together."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.data.layout_files import coco_name, picture, vqav2, write_json

from shiftlens.core.errors import DataError, SteeringError
from shiftlens.data.layouts import read_vqav2
from shiftlens.data.reading import read
from shiftlens.steering.tasks.registry import make_task

_QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
_ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


def test_every_question_gets_its_own_answers(tmp_path: Path) -> None:
    samples = read_vqav2(vqav2(tmp_path))
    assert [s.id for s in samples] == ["262148000", "262148001", "393225000"]
    assert [s.prompt for s in samples] == ["Where is he looking?", "Is it été?", "How many dogs?"]
    assert [s.labels["answer_type"] for s in samples] == ["other", "yes/no", "number"]
    assert samples[0].labels == {
        "answers": ["down"] * 9 + ["maybe"],
        "answer": "down",
        "answer_type": "other",
        "question_type": "where is",
    }
    name = "COCO_val2014_000000262148.jpg"
    assert samples[1].images == (str(tmp_path.resolve() / "val2014" / name),)
    assert samples[0].response is None
    assert samples.root == tmp_path.resolve()


def test_a_single_missing_picture_is_left_to_harvesting(tmp_path: Path) -> None:
    samples = read_vqav2(vqav2(tmp_path))
    assert [Path(s.images[0]).is_file() for s in samples] == [True, True, False]


def test_the_order_is_not_that_of_the_file_and_a_limit_cuts_it(tmp_path: Path) -> None:
    vqav2(tmp_path / "a")
    vqav2(tmp_path / "b", questions=lambda table: table["questions"].reverse())
    ids = [[s.id for s in read_vqav2(tmp_path / name)] for name in "ab"]
    assert ids[0] == ids[1]
    assert [s.id for s in read_vqav2(tmp_path / "a", limit=2)] == ids[0][:2]
    assert len(read_vqav2(tmp_path / "a", limit=99)) == 3
    with pytest.raises(DataError, match="limit 0 leaves nothing"):
        read_vqav2(tmp_path / "a", limit=0)


def test_a_prompt_replaces_the_question_or_holds_it(tmp_path: Path) -> None:
    vqav2(tmp_path)
    short = read_vqav2(tmp_path, prompt="{question}\nAnswer with one word.")
    assert short[0].prompt == "Where is he looking?\nAnswer with one word."
    assert {s.prompt for s in read(tmp_path, prompt="What {is} it?")} == {"What {is} it?"}


def test_read_recognises_the_folder_and_the_file(tmp_path: Path) -> None:
    vqav2(tmp_path)
    whole = list(read_vqav2(tmp_path))
    assert list(read(tmp_path)) == whole
    assert list(read(tmp_path / _QUESTIONS)) == whole
    assert len(read(tmp_path, limit=1)) == 1


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    vqav2(tmp_path)
    vqav2(
        tmp_path,
        "train2014",
        annotations=lambda t: [a.update(answers=[{"answer": "t"}]) for a in t["annotations"]],
    )
    with pytest.raises(DataError, match="several files of questions") as caught:
        read(tmp_path)
    assert 'split="val2014"' in str(caught.value)
    train = read_vqav2(tmp_path, split="train2014")
    assert train[0].labels["answers"] == ["t"]
    assert "train2014/COCO_train2014_" in Path(train[0].images[0]).as_posix()
    assert len(read_vqav2(tmp_path, split="val2014")[0].labels["answers"]) == 10
    with pytest.raises(DataError, match="no file of questions of test2015"):
        read_vqav2(tmp_path, split="test2015")


def test_files_that_lie_elsewhere_are_named(tmp_path: Path) -> None:
    vqav2(tmp_path)
    (tmp_path / "else").mkdir()
    (tmp_path / _ANNOTATIONS).rename(tmp_path / "else" / "mine.json")
    (tmp_path / "val2014").rename(tmp_path / "else" / "val2014")
    (tmp_path / _QUESTIONS).rename(tmp_path / "asked.json")
    for folder in (tmp_path / "else", tmp_path / "else" / "val2014"):
        samples = read_vqav2(
            tmp_path / "asked.json",
            split="val2014",
            annotations=tmp_path / "else" / "mine.json",
            folder=folder,
        )
        assert Path(samples[0].images[0]).is_file()
    with pytest.raises(DataError, match=r"asked.json does not say its split"):
        read_vqav2(tmp_path / "asked.json", annotations=tmp_path / "else" / "mine.json")


def test_a_part_of_the_questions_needs_no_part_of_the_answers(tmp_path: Path) -> None:
    vqav2(tmp_path, questions=lambda table: table["questions"].pop(0))
    assert [s.id for s in read_vqav2(tmp_path)] == ["262148000", "262148001"]


def test_version_one_beside_version_two_takes_its_own_answers(tmp_path: Path) -> None:
    vqav2(tmp_path)
    old = {"annotations": [{"question_id": 1, "image_id": 1}]}
    write_json(tmp_path / "mscoco_val2014_annotations.json", old)
    assert len(read_vqav2(tmp_path)) == 3


def test_answers_of_another_split_are_not_taken(tmp_path: Path) -> None:
    vqav2(tmp_path)
    annotations = tmp_path / _ANNOTATIONS
    annotations.rename(tmp_path / "v2_mscoco_train2014_annotations.json")
    with pytest.raises(DataError, match="has no annotations beside it") as caught:
        read(tmp_path)
    assert "there are v2_mscoco_train2014_annotations.json" in str(caught.value)
    (tmp_path / "v2_mscoco_train2014_annotations.json").rename(
        tmp_path / "val2014_annotations.json"
    )
    assert len(read(tmp_path)) == 3, "named otherwise, but the only ones of the split"


def test_the_pictures_of_test_dev_are_those_of_test(tmp_path: Path) -> None:
    vqav2(tmp_path, "test-dev2015")
    with pytest.raises(DataError, match=r"no image folder at .*test2015"):
        read(tmp_path)
    shown = picture(tmp_path / "test2015" / coco_name(262148, "test2015")).resolve()
    assert Path(read(tmp_path)[0].images[0]) == shown


def _row(number: int, **change: Any) -> Callable[[Any], None]:
    """Change a row of a table's only list; ``None`` removes the key."""

    def spoil(table: Any) -> None:
        (rows,) = [value for value in table.values() if isinstance(value, list)]
        for key, value in change.items():
            if value is None:
                del rows[number - 1][key]
            else:
                rows[number - 1][key] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_row(2, question=None), "row 2 of questions in .*questions.json: 'question' is missing"),
        (_row(2, question="  "), "row 2 .*'question' is '  '"),
        (_row(3, question_id="7"), "row 3 .*'question_id' is '7'\n  a whole number"),
        (_row(3, question_id=True), "row 3 .*'question_id' is True"),
        (_row(1, image_id=1.5), "row 1 .*'image_id' is 1.5"),
        (_row(3, question_id=393225000), "row 3 .*repeats the question_id 393225000"),
        (_row(1, question_id=5), f"row 1 .*: question 5 has no annotation in {_ANNOTATIONS}"),
        (_row(1, image_id=9), "row 1 .*is about picture 9, its annotation .* picture 393225"),
        (lambda t: t["questions"].append(3), "row 4 of questions .* is not a JSON object"),
        (lambda t: t.pop("questions"), "questions.json: 'questions' is missing\n  a list"),
        (lambda t: t["questions"].clear(), "holds no samples"),
    ],
)
def test_a_bad_question_is_named_by_file_and_row(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(vqav2(tmp_path, questions=spoil))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_row(1, answers=[]), f"row 1 of annotations in {_ANNOTATIONS}: no answers"),
        (_row(2, answers=["yes"]), "row 2 .*no answers\n  a list of objects"),
        (_row(2, answers=[{"answer": "yes"}, {"answer": 3}]), "row 2 .*no answers"),
        (_row(2, answers=None), "row 2 .*'answers' is missing"),
        (_row(3, answer_type="colour"), "row 3 .*answer_type is 'colour'\n  yes/no, number, other"),
        (_row(3, multiple_choice_answer=None), "row 3 .*'multiple_choice_answer' is missing"),
        (_row(1, question_type=4), "row 1 .*'question_type' is 4"),
        (_row(2, question_id=262148000), "row 2 .*repeats the question_id 262148000"),
    ],
)
def test_a_bad_annotation_is_named_by_file_and_row(
    tmp_path: Path, spoil: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(vqav2(tmp_path, annotations=spoil))


def test_files_that_are_no_json_are_named(tmp_path: Path) -> None:
    vqav2(tmp_path)
    for name in (_QUESTIONS, _ANNOTATIONS):
        whole = (tmp_path / name).read_bytes()
        for bad, message in (
            (whole[: len(whole) // 2], "is not JSON"),
            (b"", "is not JSON"),
            (b"[" * 100_000, "is not JSON"),
            (b"[1]", "does not hold a JSON object"),
            (b'{"a": "\xe4"}', "is not UTF-8"),
        ):
            (tmp_path / name).write_bytes(bad)
            with pytest.raises(DataError, match=f"{name} {message}"):
                read(tmp_path)
        (tmp_path / name).write_bytes(whole)
    assert len(read(tmp_path)) == 3


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    vqav2(tmp_path)
    shutil.rmtree(tmp_path / "val2014")
    place = str(tmp_path.resolve() / "val2014")
    with pytest.raises(DataError, match="there is no image folder at") as caught:
        read(tmp_path)
    assert place in str(caught.value)
    picture(tmp_path / "val2014" / coco_name(99))  # a picture, but none of these questions
    with pytest.raises(DataError, match="no picture of 2 is in") as caught:
        read(tmp_path)
    assert place in str(caught.value)
    assert "COCO_val2014_000000" in str(caught.value)
    with pytest.raises(DataError, match=r"no image folder at .*nowhere"):
        read_vqav2(tmp_path, folder=tmp_path / "nowhere")
    (tmp_path / _ANNOTATIONS).unlink()
    with pytest.raises(DataError, match="has no annotations beside it") as caught:
        read(tmp_path)
    assert _ANNOTATIONS in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        read_vqav2(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file of questions"):
        read_vqav2(tmp_path / "empty")


@pytest.mark.parametrize("split", ["test2015", "test-dev2015"])
def test_a_test_split_is_read_without_the_answers_that_nobody_published(
    split: str, tmp_path: Path
) -> None:
    vqav2(tmp_path, split)
    picture(tmp_path / "test2015" / coco_name(262148, "test2015"))
    answered = read_vqav2(tmp_path)
    assert answered[0].labels["answer"] == "down", "who has answers of his own may use them"
    (tmp_path / f"v2_mscoco_{split}_annotations.json").unlink()
    samples = read(tmp_path)
    assert [s.prompt for s in samples] == [s.prompt for s in answered]
    assert [s.labels for s in samples] == [{}, {}, {}]
    assert Path(samples[0].images[0]).is_file()
    with pytest.raises(SteeringError, match="answer"):
        make_task("vqa", {}).check(samples)


def test_other_splits_without_answers_are_read_when_that_is_meant(tmp_path: Path) -> None:
    vqav2(tmp_path)
    assert all(not s.labels for s in read_vqav2(tmp_path, annotations=False))
    (tmp_path / _ANNOTATIONS).unlink()
    with pytest.raises(DataError, match="annotations=False for none"):
        read_vqav2(tmp_path)
    assert len(read_vqav2(tmp_path, annotations=False)) == 3
