"""``read``: from a folder of pictures, a JSONL file or a public layout to samples."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.registry import Registry
from shiftlens.data.images import SUFFIXES
from shiftlens.data.layouts import layout_of, layouts
from shiftlens.data.sample import Sample, Samples

Reader = Callable[[Path, str | None], list[Sample]]

readers: Registry[Reader] = Registry("reader")

_KEYS = {
    *("id", "image", "images", "prompt", "response", "labels"),
    *("system", "max_new_tokens"),
}


def read(
    source: str | Path,
    *,
    prompt: str | None = None,
    limit: int | None = None,
    system: str | None = None,
) -> Samples:
    """Read samples from a folder of images, from a ``.jsonl`` file or from a public data set.

    A folder that holds a ``data.jsonl`` is read from that file. A folder or file whose names are
    unmistakably those of VQAv2, MM-SafetyBench, POPE or COCO's captions is read as such: see
    ``shiftlens.data.layouts``, whose functions also take what cannot be guessed. Any other folder
    is searched for pictures in all its subfolders; ids are paths relative to it. A JSONL
    row has ``image`` or ``images`` (paths relative to the file), ``prompt``, and optionally ``id``
    (default: the line number), ``response``, ``labels``, ``system`` (a system prompt) and
    ``max_new_tokens`` (where this row's response is cut off).

    Args:
        source: the folder or file.
        prompt: asked about every picture; needed where the source has none, replaces it where it
            has. In a public data set ``{question}`` within it stands for the question.
        limit: read at most this many samples.
        system: what the model is told before every prompt; replaces what rows have.

    Returns:
        the samples, in a stable order.

    Raises:
        DataError: nothing there, an unknown kind of source or several at once, no picture, no
            prompt, or a malformed row.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source} does not exist", allowed=_allowed())
    if (path / "data.jsonl").is_file():
        path = path / "data.jsonl"  # pictures with their questions and labels beside them
    elif (layout := layout_of(path)) is not None:
        found = layout.read(path, prompt=prompt, limit=limit)
        return found if system is None else found.with_system(system)
    kind = "folder" if path.is_dir() else path.suffix.lower().lstrip(".")
    if kind not in readers.names():
        raise DataError(f"{source} is not something that can be read", allowed=_allowed())
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit} leaves nothing", allowed="a whole number from 1 up")
    samples = readers.get(kind)(path.resolve(), prompt)[:limit]
    if not samples:
        raise DataError(
            f"{source} holds no samples",
            allowed=f"pictures ending in {', '.join(SUFFIXES)}, or JSONL rows",
        )
    found = Samples(samples, root=path.resolve() if path.is_dir() else path.resolve().parent)
    return found if system is None else found.with_system(system)


def _allowed() -> str:
    return f"a folder of images, a .jsonl file, or one of: {', '.join(layouts.names())}"


@readers.register("folder")
def _read_folder(path: Path, prompt: str | None) -> list[Sample]:
    pictures = sorted(
        file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES
    )
    if prompt is None:
        if not pictures:
            return []
        raise DataError(
            f"{path} is a folder of pictures without questions",
            remedy='say what to ask: read(path, prompt="Describe the picture."), or --prompt',
        )
    return [Sample(str(file.relative_to(path)), prompt, (str(file),)) for file in pictures]


@readers.register("jsonl")
def _read_jsonl(path: Path, prompt: str | None) -> list[Sample]:
    samples: list[Sample] = []
    try:
        # Not splitlines(): JSON may hold U+2028 and its kin unescaped inside a text.
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            samples.append(_sample(_row(line, path, number), path, number, prompt))
    return samples


def _row(line: str, path: Path, number: int) -> dict[str, Any]:
    where = f"line {number} of {path.name}"
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} is not a JSON object")
    if {"video", "videos"} & row.keys():
        raise DataError(
            f"{where} has a video, and videos are not supported",
            remedy="give frames of it as images",
        )
    unknown = sorted(set(map(str, row)) - _KEYS)
    if unknown:
        raise DataError(
            f"{where} has unknown keys: {', '.join(unknown)}",
            allowed=f"keys: {', '.join(sorted(_KEYS))}",
            remedy="put anything else under labels",
        )
    return row


def _sample(row: dict[str, Any], path: Path, number: int, prompt: str | None) -> Sample:
    where = f"line {number} of {path.name}"
    asked = prompt if prompt is not None else row.get("prompt")
    if not isinstance(asked, str):
        raise DataError(f"{where} has no prompt", remedy="add one to the row, or pass prompt=")
    single = row.get("image")
    refs: Any = row.get("images", [] if single is None else [single])
    labels, response = row.get("labels", {}), row.get("response")
    if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
        raise DataError(f"{where}: image must be a path, images a list of paths")
    if not isinstance(labels, dict) or not (response is None or isinstance(response, str)):
        raise DataError(f"{where}: labels must be an object, response a text")
    system, most = row.get("system"), row.get("max_new_tokens")
    if not (system is None or isinstance(system, str)):
        raise DataError(f"{where}: system must be a text")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise DataError(f"{where}: max_new_tokens must be a whole number from 1 up")
    images = tuple(str((path.parent / ref).resolve()) for ref in refs)
    return Sample(str(row.get("id", number)), asked, images, response, labels, system, most)
