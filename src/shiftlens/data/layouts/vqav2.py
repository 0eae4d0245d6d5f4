"""VQAv2 (Goyal et al. 2017): questions about COCO pictures, ten people's answers to each."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.layout import Layout, asked, existing, finish, layouts
from shiftlens.data.layouts.pictures import beside, picture_folder, split_in
from shiftlens.data.layouts.rows import by_number, field, load_object, rows_of
from shiftlens.data.sample import Sample, Samples

_QUESTIONS = re.compile(r"(?:v2_)?(?:OpenEnded|MultipleChoice)_.+_questions\.json")
_TYPES = ("yes/no", "number", "other")

_Annotation = tuple[int, dict[str, Any]]
"""The picture that an annotation is about, and the labels that it gives."""


def read_vqav2(
    path: str | Path,
    *,
    split: str | None = None,
    annotations: str | Path | Literal[False] | None = None,
    folder: str | Path | None = None,
    prompt: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Read VQAv2.

    The layout was written down from knowledge, not from the files. It is assumed to be::

        v2_OpenEnded_mscoco_val2014_questions.json   {"questions": [{"question_id": 262148000,
                                                     "image_id": 262148, "question": ...}]}
        v2_mscoco_val2014_annotations.json           {"annotations": [{"question_id": 262148000,
                                                     "image_id": 262148, "answer_type": "other",
                                                     "question_type": "what is", "answers":
                                                     [{"answer": ...}, ...],
                                                     "multiple_choice_answer": ...}]}
        val2014/COCO_val2014_000000262148.jpg        the number of the picture in twelve digits

    Ids are question ids, and so is the order. Labels are ``answers`` (the texts of all people),
    ``answer`` (``multiple_choice_answer``, the most common one), ``answer_type`` (``yes/no``,
    ``number``, ``other``) and ``question_type``. Annotations of other questions are passed over,
    so that a part of the questions can be read with the whole file of answers. The answers of the
    test splits (``test2015``, ``test-dev2015``) were never published: without a file of answers
    their questions are read without labels.

    Args:
        path: the folder, or the file of questions.
        split: such as ``val2014``, where the folder holds several, or the file's name none.
        annotations: the file of answers, where it is not beside the questions; ``False`` for
            questions without answers, and so without labels, on purpose.
        folder: the pictures, where they are not beside the questions.
        prompt: asked in place of the questions; ``{question}`` in it stands for the question.
        limit: keep the first so many.

    Returns:
        the samples; pictures of single ones may be missing.

    Raises:
        DataError: a file or the image folder is missing or there are several, a row is malformed, a
            question has no annotation or one of another picture, or no picture exists. Of a test
            split no file of answers is missed.
    """
    source = existing(path)
    file = _questions_file(source, split)
    split = split or split_in(file.name)
    if split is None:
        raise DataError(f"{file.name} does not say its split", remedy='pass split="val2014"')
    answers = _answers_file(file, split, annotations)
    questions = by_number(rows_of(load_object(file), "questions", file), "question_id", _question)
    labels = {} if answers is None else _annotated(answers)
    # The pictures of test-dev2015 are those of test2015.
    shown = split.replace("-dev", "")
    names = {image: f"COCO_{shown}_{image:012d}.jpg" for image, _, _ in questions.values()}
    place = picture_folder(names.values(), folder, beside(file.parent, shown), shown)
    samples = [
        Sample(
            str(number),
            asked(text, prompt),
            (str(place / names[image]),),
            labels=_known(number, image, labels, f"{where}: question {number}", answers),
        )
        for number, (image, text, where) in questions.items()
    ]
    return finish(samples, source, limit)


def _answers_file(
    questions: Path, split: str, given: str | Path | Literal[False] | None
) -> Path | None:
    """The file of answers; none where none is meant, or none was published."""
    if given is False:
        return None
    if given is not None:
        return existing(given)
    if split.startswith("test") and not _annotations_of(questions, split):
        return None
    return _annotations_file(questions, split)


def _annotated(file: Path) -> dict[int, _Annotation]:
    return by_number(rows_of(load_object(file), "annotations", file), "question_id", _labels)


def _known(
    number: int, image: int, labels: Mapping[int, _Annotation], where: str, file: Path | None
) -> dict[str, Any]:
    """The labels of a question, if they are there and about the same picture."""
    if file is None:
        return {}
    if number not in labels:
        raise DataError(f"{where} has no annotation in {file.name}")
    of_image, known = labels[number]
    if of_image != image:
        raise DataError(
            f"{where} is about picture {image}, "
            f"its annotation in {file.name} about picture {of_image}"
        )
    return known


def _question(row: dict[str, Any], where: str) -> tuple[int, str, str]:
    return field(row, "image_id", int, where), field(row, "question", str, where), where


def _labels(row: dict[str, Any], where: str) -> _Annotation:
    given = field(row, "answers", list, where)
    texts = [one.get("answer") if isinstance(one, dict) else None for one in given]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{where}: no answers", allowed='a list of objects like {"answer": "yes"}')
    kind = field(row, "answer_type", str, where)
    if kind not in _TYPES:
        raise DataError(f"{where}: answer_type is {kind!r}", allowed=", ".join(_TYPES))
    return field(row, "image_id", int, where), {
        "answers": texts,
        "answer": field(row, "multiple_choice_answer", str, where),
        "answer_type": kind,
        "question_type": field(row, "question_type", str, where),
    }


def _questions_file(source: Path, split: str | None) -> Path:
    if source.is_file():
        return source
    files = sorted(source.glob("*_questions.json"))
    found = [one for one in files if split is None or split_in(one.name) == split]
    if len(found) != 1:
        names = ", ".join(one.name for one in files)
        what = f"several files of questions: {names}" if found else "no file of questions"
        raise DataError(
            f"{source} holds {what}" + (f" of {split}" if split else ""),
            allowed=names or "a file like v2_OpenEnded_mscoco_val2014_questions.json",
            remedy='say which: split="val2014", or the file itself as path' if files else "",
        )
    return found[0]


def _annotations_file(questions: Path, split: str) -> Path:
    """The answers beside the questions: those named alike, or else the only ones of the split."""
    alike = re.sub(r"(?:OpenEnded|MultipleChoice)_", "", questions.name)
    expected = questions.with_name(alike.replace("_questions.json", "_annotations.json"))
    if expected != questions and expected.is_file():
        return expected
    found = _annotations_of(questions, split)
    if len(found) != 1:
        files = sorted(questions.parent.glob("*_annotations.json"))
        raise DataError(
            f"{questions.name} has no annotations beside it",
            allowed=f"{expected.name}; there are {', '.join(one.name for one in files) or 'none'}",
            remedy="put the file there, or pass annotations=...; annotations=False for none",
        )
    return found[0]


def _annotations_of(questions: Path, split: str) -> list[Path]:
    """Files of answers of a split beside its questions."""
    files = sorted(questions.parent.glob("*_annotations.json"))
    return [one for one in files if split_in(one.name) == split]


def _fits(path: Path) -> bool:
    if path.is_file():
        return _QUESTIONS.fullmatch(path.name) is not None
    return any(_QUESTIONS.fullmatch(file.name) for file in path.glob("*_questions.json"))


layouts.register("vqav2")(Layout(_fits, read_vqav2, "read_vqav2"))
