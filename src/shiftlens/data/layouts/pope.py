"""POPE (Li et al. 2023): is there a dog in the picture? Half of the objects asked for are not."""

import re
from pathlib import Path

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.layout import Layout, asked, existing, finish, layouts
from shiftlens.data.layouts.pictures import inner_name, picture_folder
from shiftlens.data.layouts.rows import by_number, field, load_lines
from shiftlens.data.sample import Sample, Samples

SPLITS = ("random", "popular", "adversarial")
"""How the objects that are not there were chosen, in the order in which they are read."""

_FILE = re.compile(rf"(\w+)_pope_({'|'.join(SPLITS)})\.json")
_LABELS = ("yes", "no")


def read_pope(
    path: str | Path,
    *,
    folder: str | Path | None = None,
    prompt: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Read POPE.

    The layout was compared with the first and last rows of the three published COCO files (3,000
    rows each, question ids 0 to 2999), not tried on whole files; where the pictures lie is an
    assumption. Other keys, such as ``image_id``, are passed over. It is::

        coco_pope_random.json        one object a line: {"question_id": 0, "image":
        coco_pope_popular.json       "COCO_val2014_000000548882.jpg", "text": "Is there a dog in
        coco_pope_adversarial.json   the image?", "label": "no"}
        val2014/COCO_val2014_000000548882.jpg

    Pictures may also lie in ``images``, ``images/val2014`` or beside the files. Question ids begin
    anew in every file: ids are ``random/0``. The order is that of ``SPLITS``, then of question ids.
    Labels are ``answer`` (``yes`` or ``no``), ``split`` and ``kind`` (``pope``).

    Args:
        path: the folder with one file or more, or one of the files.
        folder: the pictures, where they are not beside the files.
        prompt: asked in place of the questions; ``{question}`` in it stands for the question.
        limit: keep the first so many; they are of the first splits.

    Returns:
        the samples; pictures of single ones may be missing.

    Raises:
        DataError: there is no such file, or files about different pictures (``coco_pope``,
            ``gqa_pope``); the image folder is missing; a row is malformed or repeats a question id;
            a label is neither yes nor no; or no picture exists.
    """
    source = existing(path)
    rows: list[Sample] = []
    for split, file in _files(source).items():
        rows.extend(_read(file, split, prompt))
    root = source if source.is_dir() else source.parent
    usual = [root / "val2014", root / "images", root / "images" / "val2014", root]
    place = picture_folder((row.images[0] for row in rows), folder, usual, "val2014")
    samples = [
        Sample(row.id, row.prompt, (str(place / row.images[0]),), labels=row.labels) for row in rows
    ]
    return finish(samples, source, limit)


def _read(file: Path, split: str, prompt: str | None) -> list[Sample]:
    """The rows of one file, with the names of their pictures in place of paths."""

    def sample(row: dict[str, object], where: str) -> Sample:
        label = field(row, "label", str, where).strip().lower()
        if label not in _LABELS:
            raise DataError(f"{where}: label is {row['label']!r}", allowed=", ".join(_LABELS))
        number = field(row, "question_id", int, where)
        text, image = field(row, "text", str, where), inner_name(row, "image", where)
        labels = {"answer": label, "split": split, "kind": "pope"}
        return Sample(f"{split}/{number}", asked(text, prompt), (image,), labels=labels)

    return list(by_number(load_lines(file), "question_id", sample).values())


def _files(source: Path) -> dict[str, Path]:
    """Files by split, in the order of the splits."""
    candidates = [source] if source.is_file() else sorted(source.glob("*_pope_*.json"))
    found = [(match, one) for one in candidates if (match := _FILE.fullmatch(one.name))]
    kinds = sorted({match.group(1) for match, _ in found})
    if len(kinds) != 1:
        names = ", ".join(one.name for _, one in found)
        raise DataError(
            f"{source} holds " + (f"several data sets: {names}" if found else "no file of POPE"),
            allowed="one of these files as path" if found else "a file like coco_pope_random.json",
        )
    by_split = {match.group(2): one for match, one in found}
    return {split: by_split[split] for split in SPLITS if split in by_split}


def _fits(path: Path) -> bool:
    names = [path] if path.is_file() else path.glob("*_pope_*.json")
    return any(_FILE.fullmatch(one.name) for one in names)


layouts.register("pope")(Layout(_fits, read_pope, "read_pope"))
