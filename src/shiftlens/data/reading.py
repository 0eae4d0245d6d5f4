"""``read``: from pictures, tables, public layouts or rows at hand to samples."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.images import SUFFIXES
from shiftlens.data.layouts import layout_of, layouts
from shiftlens.data.readers.choosing import Where, chosen
from shiftlens.data.readers.collecting import Source, collect
from shiftlens.data.readers.columns import OURS, Columns
from shiftlens.data.readers.given import given_rows
from shiftlens.data.readers.hugging_face import is_saved, saved_rows
from shiftlens.data.readers.row import Row
from shiftlens.data.readers.tables import tables
from shiftlens.data.sample import Sample, Samples


def read(
    source: str | Path | Iterable[Any],
    *,
    prompt: str | None = None,
    limit: int | None = None,
    system: str | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Samples:
    """Read samples from pictures, from a table, from a public data set or from rows at hand.

    A folder that holds a ``data.jsonl`` is read from that file. A folder that ``save_to_disk`` of
    Hugging Face's ``datasets`` wrote is read as a table. A folder or file whose names are
    unmistakably those of a public data set is read as such: see ``shiftlens.data.layouts``, whose
    functions also take what cannot be guessed. Any other folder is searched for pictures in all its
    subfolders, without following links to folders; ids are paths relative to it.

    Tables are ``.jsonl``, ``.csv``, ``.tsv`` and ``.parquet`` files, and iterables of dictionaries,
    of samples or of a ``datasets.Dataset``. A row has ``image`` or ``images`` (paths relative to
    the file), ``prompt``, and optionally ``id`` (default: its number; in JSONL, of its line),
    ``response``, ``labels``, ``system`` (a system prompt) and ``max_new_tokens`` (where this row's
    response is cut off). Other columns become labels; in JSONL only where ``columns`` is given.

    Args:
        source: the folder, the file, or the rows.
        prompt: asked about every picture; needed where the source has none, replaces it where it
            has. ``{question}`` within it stands for the question of a public data set, or for what
            ``columns`` calls the prompt.
        limit: read at most this many samples.
        system: what the model is told before every prompt; replaces what rows have.
        columns: the table's names for ours, ``{"image": "file_name", "prompt": "question"}``.
        where: keep rows whose columns have these values, ``{"answer_type": "number"}``, or one of
            several, ``{"split": ["val", "test"]}``, before anything is counted. In a public data
            set, columns are its labels. Values are compared as texts.
        seed: with ``limit``, keep a random choice in place of the first ones, in their order: that
            of ``read(source).take(limit, seed=seed)``, without holding the others.

    Returns:
        the samples, in a stable order.

    Raises:
        DataError: nothing there, an unknown kind of source or several at once, no picture, no
            prompt, a column that does not exist, or a malformed row.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit} leaves nothing", allowed="a whole number from 1 up")
    wanted = Where(where)
    if not isinstance(source, (str, Path)):
        table = _given(source, columns)
        found = Samples(collect(table, prompt=prompt, where=wanted, limit=limit, seed=seed))
        if not len(found):
            raise DataError("there are no rows", allowed="dictionaries, or samples")
    else:
        found = _read_path(Path(source), prompt, limit, columns, wanted, seed)
    return found if system is None else found.with_system(system)


def _read_path(
    path: Path,
    prompt: str | None,
    limit: int | None,
    columns: Mapping[str, str] | None,
    where: Where,
    seed: int | None,
) -> Samples:
    if not path.exists():
        raise DataError(f"{path} does not exist", allowed=_allowed())
    if (path / "data.jsonl").is_file():
        path = path / "data.jsonl"  # pictures with their questions and labels beside them
    if (table := _table(path, columns)) is not None:
        samples = collect(table, prompt=prompt, where=where, limit=limit, seed=seed)
    elif columns:
        raise DataError(
            f"{path} is no table, and has no columns to name",
            allowed=", ".join(f".{kind}" for kind in tables.names()),
        )
    elif (layout := layout_of(path)) is not None:
        first = limit if seed is None and not where else None
        return _of_layout(layout.read(path, prompt=prompt, limit=first), path, where, limit, seed)
    else:
        samples = _pictures(path, prompt, where, limit, seed)
    if not samples:
        raise DataError(
            f"{path} holds no samples",
            allowed=f"pictures ending in {', '.join(SUFFIXES)}, or rows of a table",
        )
    whole = path.resolve()
    return Samples(samples, root=whole if whole.is_dir() else whole.parent)


def _allowed() -> str:
    kinds = ", ".join(f".{kind}" for kind in tables.names())
    return (
        f"a folder of images, a table ({kinds}), a saved data set of Hugging Face, "
        f"or one of: {', '.join(layouts.names())}"
    )


def _table(path: Path, columns: Mapping[str, str] | None) -> Source | None:
    """The table that a path is, if it is one."""
    if path.is_dir():
        if not is_saved(path):
            return None
        whole = path.resolve()
        return Source(lambda: saved_rows(whole), Columns(columns or {}), whole, whole.name, True)
    kind = path.suffix.lower().lstrip(".")
    if kind not in tables.names():
        return None
    rows = _strict if kind == "jsonl" and columns is None else tables.get(kind)
    meaning = Columns(
        columns or {},
        others=kind != "jsonl" or columns is not None,
        text=kind in ("csv", "tsv"),
        leaves=kind == "jsonl",
    )
    file = path.resolve()  # the ending is that of the name: what it links to may have none
    return Source(lambda: rows(file), meaning, file.parent, file.name, kind != "jsonl")


def _given(source: Iterable[Any], columns: Mapping[str, str] | None) -> Source:
    held = source
    if isinstance(source, Iterator):  # it cannot be begun anew
        held = list(source)
    rows: Callable[[], Iterator[Row]] = lambda: given_rows(held)  # noqa: E731
    return Source(rows, Columns(columns or {}, leaves=True), Path(), "the rows", False)


def _strict(path: Path) -> Iterator[Row]:
    """Rows of JSONL whose keys are ours: a misspelt one would be a label that nobody meant."""
    for row in tables.get("jsonl")(path):
        if {"video", "videos"} & row.values.keys():
            raise DataError(
                f"{row.where} has a video, and videos are not supported",
                remedy="give frames of it as images",
            )
        unknown = sorted(set(map(str, row.values)) - set(OURS))
        if unknown:
            raise DataError(
                f"{row.where} has unknown keys: {', '.join(unknown)}",
                allowed=f"keys: {', '.join(sorted(OURS))}",
                remedy="put anything else under labels, or say what columns mean: columns={...}",
            )
        yield row


def _of_layout(
    whole: Samples, path: Path, where: Where, limit: int | None, seed: int | None
) -> Samples:
    if not where:
        return whole if limit is None else whole.take(limit, seed=seed)
    seen = {name: None for sample in whole for name in ("id", "prompt", *sample.labels)}
    where.check(seen, path.name)
    kept = whole.where(lambda s: where.matches({"id": s.id, "prompt": s.prompt, **s.labels}))
    if not len(kept):
        raise DataError(f"no row of {path.name} is what where asks for")
    return kept if limit is None else kept.take(limit, seed=seed)


def _pictures(
    path: Path, prompt: str | None, where: Where, limit: int | None, seed: int | None
) -> list[Sample]:
    if not path.is_dir():
        raise DataError(f"{path} is not something that can be read", allowed=_allowed())
    if where:
        raise DataError(f"{path} is a folder of pictures, which have no columns for where")
    path = path.resolve()
    pictures = _files(path)
    if prompt is None:
        if not pictures:
            return []
        raise DataError(
            f"{path} is a folder of pictures without questions",
            remedy='say what to ask: read(path, prompt="Describe the picture."), or --prompt',
        )
    kept = chosen(lambda: iter(pictures), limit, seed)
    return [Sample(str(file.relative_to(path)), prompt, (str(file),)) for file in kept]


def _files(path: Path) -> list[Path]:
    """Pictures in all subfolders; links to folders are not followed, so none leads in a circle."""
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.is_file())
