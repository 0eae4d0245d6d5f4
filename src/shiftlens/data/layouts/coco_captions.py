"""COCO captions (Chen et al. 2015): five people's descriptions of each picture."""

import re
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.layout import Layout, existing, finish, layouts
from shiftlens.data.layouts.pictures import beside, inner_name, picture_folder, split_in
from shiftlens.data.layouts.rows import by_number, field, load_object, rows_of
from shiftlens.data.sample import Sample, Samples

_CAPTIONS = re.compile(r"captions_(?:train|val)20\d\d\.json")


def read_coco_captions(
    path: str | Path,
    *,
    split: str | None = None,
    folder: str | Path | None = None,
    prompt: str | None = None,
    limit: int | None = None,
) -> Samples:
    """Read COCO's captions: one sample a picture.

    The layout was written down from knowledge, not from the files. It is assumed to be::

        annotations/captions_val2014.json       {"images": [{"id": 42, "file_name": ...}],
                                                "annotations": [{"id": 7, "image_id": 42,
                                                "caption": ...}]}
        val2014/COCO_val2014_000000000042.jpg   whatever file_name says

    with the JSON file in the folder itself or in its ``annotations``. Ids are numbers of pictures,
    and so is the order. The label ``captions`` holds the references, in the order of their ids and
    without space at their ends, blank ones left out; ``response`` is ``None``, for no single one of
    them is the answer. Pictures without any caption are passed over.

    Args:
        path: the folder, or the file of captions.
        split: such as ``val2014``, where the folder holds several, or the file's name none.
        folder: the pictures, where they are not in a folder named like the split.
        prompt: what to ask; captions answer no question of their own.
        limit: keep the first so many.

    Returns:
        the samples; pictures of single ones may be missing.

    Raises:
        DataError: there is no prompt, a file or the image folder is missing or there are several, a
            row is malformed, a caption is about no picture of the file, or no picture exists.
    """
    source = existing(path)
    if prompt is None:
        raise DataError(
            f"{path} holds captions without questions",
            remedy='say what to ask: prompt="Describe the picture."',
        )
    file = _captions_file(source, split)
    split = split or split_in(file.name)
    if split is None and folder is None:
        raise DataError(f"{file.name} does not say its split", remedy="pass folder=...")
    table = load_object(file)
    pictures = by_number(
        rows_of(table, "images", file), "id", lambda row, where: inner_name(row, "file_name", where)
    )
    references = _references(table, file, pictures)
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    place = picture_folder(pictures.values(), folder, beside(root, split or ""), split or "")
    samples = [
        Sample(str(number), prompt, (str(place / name),), labels={"captions": references[number]})
        for number, name in pictures.items()
        if number in references
    ]
    return finish(samples, source, limit)


def _references(
    table: dict[str, Any], file: Path, pictures: dict[int, str]
) -> dict[int, list[str]]:
    """Captions of each picture, in the order of their ids."""

    def caption(row: dict[str, Any], where: str) -> tuple[int, str]:
        image = field(row, "image_id", int, where)
        if image not in pictures:
            raise DataError(f"{where}: no picture has the id {image}")
        text = row.get("caption")
        if not isinstance(text, str):
            raise DataError(f"{where}: 'caption' is no text")
        return image, text.strip()

    found: dict[int, list[str]] = {}
    for image, text in by_number(rows_of(table, "annotations", file), "id", caption).values():
        if text:
            found.setdefault(image, []).append(text)
    return found


def _captions_file(source: Path, split: str | None) -> Path:
    if source.is_file():
        return source
    files = _files(source)
    found = [one for one in files if split is None or split_in(one.name) == split]
    if len(found) != 1:
        names = ", ".join(one.name for one in files)
        what = f"several files of captions: {names}" if found else "no file of captions"
        raise DataError(
            f"{source} holds {what}" + (f" of {split}" if split else ""),
            allowed=names or "captions_val2014.json, there or in its folder annotations",
            remedy='say which: split="val2014", or the file itself as path' if files else "",
        )
    return found[0]


def _files(root: Path) -> list[Path]:
    places = [one for place in (root, root / "annotations") for one in place.glob("captions_*")]
    return sorted(one for one in places if _CAPTIONS.fullmatch(one.name))


def _fits(path: Path) -> bool:
    return _CAPTIONS.fullmatch(path.name) is not None if path.is_file() else bool(_files(path))


layouts.register("coco_captions")(Layout(_fits, read_coco_captions, "read_coco_captions"))
