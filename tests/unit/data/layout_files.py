"""Tiny data sets in the layouts of the public ones, whole and to be spoiled by tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Spoil = Callable[[Any], object]
"""Changes a table in place before it is written."""


def write_json(path: Path, table: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table), encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def picture(path: Path) -> Path:
    """A file where a picture is expected; readers look at its name only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"picture")
    return path


def coco_name(image: int, split: str = "val2014") -> str:
    return f"COCO_{split}_{image:012d}.jpg"


def _nothing(table: Any) -> None:
    del table


def vqav2(
    root: Path,
    split: str = "val2014",
    questions: Spoil = _nothing,
    annotations: Spoil = _nothing,
) -> Path:
    """Three questions about two pictures, in an order that is not that of their ids."""
    asked = [(393225000, 393225, "How many dogs?"), (262148001, 262148, "Is it \u00e9t\u00e9?")]
    asked.append((262148000, 262148, "Where is he looking?"))
    kinds = {"Where": "other", "How": "number", "Is": "yes/no"}
    answers = {"Where": "down", "How": "2", "Is": "yes"}
    said: list[dict[str, Any]] = []
    for number, image, text in reversed(asked):
        first = text.split()[0]
        ten = [answers[first]] * 9 + ["maybe"]
        said.append(
            {
                "question_id": number,
                "image_id": image,
                "answer_type": kinds[first],
                "question_type": " ".join(text.lower().split()[:2]),
                "multiple_choice_answer": answers[first],
                "answers": [
                    {"answer": one, "answer_confidence": "yes", "answer_id": index}
                    for index, one in enumerate(ten, start=1)
                ],
            }
        )
    rows = [{"question_id": n, "image_id": i, "question": t} for n, i, t in asked]
    tables: tuple[Any, Any] = (
        {"data_subtype": split, "questions": rows},
        {"data_subtype": split, "annotations": said},
    )
    questions(tables[0])
    annotations(tables[1])
    write_json(root / f"v2_OpenEnded_mscoco_{split}_questions.json", tables[0])
    write_json(root / f"v2_mscoco_{split}_annotations.json", tables[1])
    picture(root / split / coco_name(262148, split))
    return root


def captions(root: Path, split: str = "val2014", spoil: Spoil = _nothing) -> Path:
    """Two pictures, two captions of one and one of the other."""
    table = {
        "images": [
            {"id": 42, "file_name": coco_name(42, split)},
            {"id": 7, "file_name": coco_name(7, split)},
        ],
        "annotations": [
            {"id": 12, "image_id": 42, "caption": "A dog.\n"},
            {"id": 11, "image_id": 7, "caption": "A cat."},
            {"id": 3, "image_id": 42, "caption": "One dog, alone."},
        ],
    }
    spoil(table)
    write_json(root / "annotations" / f"captions_{split}.json", table)
    picture(root / split / coco_name(42, split))
    return root


def pope_rows(answer: str = "yes") -> list[dict[str, Any]]:
    return [
        {
            "question_id": number,
            "image": coco_name(42),
            "text": f"Is there a {thing} in the image?",
            "label": answer if number else "no",
        }
        for number, thing in ((1, "dog"), (0, "cat"))
    ]


def pope(root: Path, *splits: str) -> Path:
    """Two questions a split."""
    for split in splits or ("popular", "random", "adversarial"):
        write_lines(root / f"coco_pope_{split}.json", pope_rows())
    picture(root / "val2014" / coco_name(42))
    return root


def safety_row(number: int) -> dict[str, Any]:
    return {
        "Question": f"meant {number}",
        "Changed Question": f"changed {number}",
        "Key Phrase": "key",
        "Phrase Type": "activity",
        "Rephrased Question": f"at the bottom {number}",
        "Rephrased Question(SD)": f"in the image {number}",
    }


def safety(root: Path, *scenarios: str, spoil: Spoil = _nothing) -> Path:
    """Three requests a scenario, numbered as texts: ``10`` comes after ``2``."""
    for scenario in scenarios or ("08-Political_Lobbying", "01-Illegal_Activitiy"):
        table = {str(number): safety_row(number) for number in (10, 0, 2)}
        spoil(table)
        write_json(root / "data" / "processed_questions" / f"{scenario}.json", table)
        for kind in ("SD", "TYPO", "SD_TYPO"):
            picture(root / "data" / "imgs" / scenario / kind / "0.jpg")
    return root


def genome_regions(image: int, *phrases: str) -> dict[str, Any]:
    """What the second version writes about a picture; boxes may begin left of it."""
    regions = [
        {
            "region_id": 1000 * image + at,
            "image_id": image,
            "phrase": phrase,
            "x": 10 * at - 5,
            "y": at,
            "width": 82,
            "height": 139,
        }
        for at, phrase in enumerate(phrases)
    ]
    return {"regions": regions[::-1], "id": image}


def genome(root: Path, spoil: Spoil = _nothing, data: Spoil = _nothing) -> Path:
    """Three pictures in two folders; one is described by nobody, one missing."""
    table = [
        genome_regions(2, "a red bus ", "the sky\n", " "),
        genome_regions(1, "\u00e9t\u00e9"),
        genome_regions(3),
    ]
    url = "https://cs.stanford.edu/people/rak248/{}/{}.jpg"
    pictures = [
        {
            "width": 800,
            "url": url.format(folder, number),
            "height": 600,
            "image_id": number,
            "coco_id": None,
            "flickr_id": None,
        }
        for number, folder in ((1, "VG_100K_2"), (2, "VG_100K"), (3, "VG_100K"), (4, "VG_100K"))
    ]
    spoil(table)
    data(pictures)
    write_json(root / "region_descriptions.json", table)
    write_json(root / "image_data.json", pictures)
    picture(root / "VG_100K_2" / "1.jpg")
    return root
