"""``read``: from pictures, tables, public layouts or rows at hand to samples."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.images import SUFFIXES
from shiftlens.data.layouts import layout_of, layouts
from shiftlens.data.readers.choosing import Where, chosen
from shiftlens.data.readers.collecting import collect
from shiftlens.data.readers.finding import shards_at, table_at, table_given
from shiftlens.data.readers.hub import is_of_hub
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
    unpack: str | Path | None = None,
) -> Samples:
    """Read samples from pictures, from a table, from a public data set or from rows at hand.

    A folder that holds a ``data.jsonl`` is read from that file. A folder that ``save_to_disk`` of
    Hugging Face's ``datasets`` wrote, one of pictures with a ``metadata`` file, and one of Parquet
    or Arrow files without pictures are read as tables. A folder or file whose names are
    unmistakably those of a public data set is read as such: see ``shiftlens.data.layouts``, whose
    functions also take what cannot be guessed. Any other folder is searched for pictures in all its
    subfolders, without following links to folders; ids are paths relative to it.

    Tables are ``.jsonl``, ``.csv``, ``.tsv``, ``.parquet`` and ``.arrow`` files, iterables of
    dictionaries, of samples or of a ``datasets.Dataset``, and ``hf:owner/name``, which ``datasets``
    finds on its hub or in its cache. A row has ``image`` or ``images`` (paths relative to the
    file), ``prompt``, and optionally ``id`` (default: its number; in JSONL, of its line),
    ``response``, ``labels``, ``system`` (a system prompt) and ``max_new_tokens`` (where this row's
    response is cut off). Other columns become labels; in JSONL only where ``columns`` is given.

    Args:
        source: the folder, the file, the name, or the rows.
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
        unpack: a folder for pictures that stand in the table itself, which are written there; they
            are refused otherwise.

    Returns:
        the samples, in a stable order.

    Raises:
        DataError: nothing there, an unknown kind of source or several at once, no picture, no
            prompt, a column that does not exist, or a malformed row.
        MachineError: pictures cannot be written to ``unpack``.
    """
    _require_settings(prompt, limit, seed)
    wanted = Where(where)
    if isinstance(source, (str, Path)) and not is_of_hub(source):
        found = _read_path(_existing(source), prompt, limit, columns, wanted, seed, unpack)
    else:
        table = table_given(source, columns, unpack)
        found = Samples(collect(table, prompt=prompt, where=wanted, limit=limit, seed=seed))
        if not len(found):
            raise DataError(f"there are no rows in {table.name}")
    return found if system is None else found.with_system(system)


def _require_settings(prompt: Any, limit: Any, seed: Any) -> None:
    for name, value in (("limit", limit), ("seed", seed)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise DataError(f"{name} is {value!r:.60}", allowed="a whole number")
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit} leaves nothing", allowed="a whole number from 1 up")
    if not (prompt is None or isinstance(prompt, str)):
        raise DataError(f"prompt is {prompt!r:.60}", allowed="a text")


def _existing(source: str | Path) -> Path:
    path, why = Path(source), "does not exist"
    try:
        if str(source) and path.exists():
            if path.is_file() or path.is_dir():
                return path
            raise DataError(f"{path} is neither a file nor a folder")
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        if isinstance(error, DataError):
            raise
        why = f"cannot be looked up ({getattr(error, 'strerror', None) or error})"
    remote = "://" in str(source)
    raise DataError(
        f"{str(source)!r:.200} {why}" + (" on this machine" if remote else ""),
        allowed=_allowed(),
        remedy="fetch it first: nothing is read from the network but hf:owner/name"
        if remote
        else "",
    )


def _read_path(
    path: Path,
    prompt: str | None,
    limit: int | None,
    columns: Mapping[str, str] | None,
    where: Where,
    seed: int | None,
    unpack: str | Path | None,
) -> Samples:
    if (path / "data.jsonl").is_file():
        path = path / "data.jsonl"  # pictures with their questions and labels beside them
    table = table_at(path, columns, unpack)
    layout = layout_of(path) if table is None and not columns else None
    if layout is not None:
        first = limit if seed is None and not where else None
        return _of_layout(layout.read(path, prompt=prompt, limit=first), path, where, limit, seed)
    pictures = _files(path.resolve()) if table is None and path.is_dir() else []
    if table is None and not pictures and path.is_dir():
        table = shards_at(path, columns, unpack)
    if table is not None:
        samples = collect(table, prompt=prompt, where=where, limit=limit, seed=seed)
    else:
        samples = _pictures(path, pictures, prompt, limit, seed, columns=columns, where=where)
    if not samples:
        raise DataError(
            f"{path} holds no samples",
            allowed=_seen(path),
            remedy="it is a model's directory: name the model first, then the data"
            if (path / "config.json").is_file()
            else "",
        )
    whole = path.resolve()
    return Samples(samples, root=whole if whole.is_dir() else whole.parent)


def _allowed() -> str:
    kinds = ", ".join(f".{kind}" for kind in tables.names())
    return (
        f"a folder of images, a table ({kinds}), a saved data set of Hugging Face, hf:owner/name, "
        f"or one of: {', '.join(layouts.names())}"
    )


def _seen(path: Path) -> str:
    """What would have been possible, and tables that lie in a folder without anything else."""
    kinds = tuple(f".{kind}" for kind in tables.names())
    inner = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    beside = [name for name in inner if name.lower().endswith(kinds)][:5]
    whole = f"pictures ending in {', '.join(SUFFIXES)}, or rows of a table"
    return f"{whole}; there is {', '.join(beside)}: read one file" if beside else whole


def _of_layout(
    whole: Samples, path: Path, where: Where, limit: int | None, seed: int | None
) -> Samples:
    if not where:
        return whole if limit is None else whole.take(limit, seed=seed)
    seen = {
        name: value
        for s in whole
        for name, value in {"id": s.id, "prompt": s.prompt, **s.labels}.items()
    }
    where.check(seen, path.name)
    kept = whole.where(lambda s: where.matches({"id": s.id, "prompt": s.prompt, **s.labels}))
    if not len(kept):
        raise where.nothing({**seen, **whole[0].labels}, path.name)
    return kept if limit is None else kept.take(limit, seed=seed)


def _pictures(
    path: Path,
    pictures: list[Path],
    prompt: str | None,
    limit: int | None,
    seed: int | None,
    *,
    columns: Mapping[str, str] | None,
    where: Where,
) -> list[Sample]:
    if columns:
        raise DataError(
            f"{path} is no table, and has no columns to name",
            allowed=", ".join(f".{kind}" for kind in tables.names()),
        )
    if not path.is_dir():
        named = "a .json file is read under the name that its data set gives it"
        raise DataError(
            f"{path} is not something that can be read",
            allowed=_allowed(),
            remedy=f"{named}; any other rows, one a line in a .jsonl"
            if path.suffix.lower() == ".json"
            else "",
        )
    if where:
        raise DataError(f"{path} is a folder of pictures, which have no columns for where")
    if not pictures:
        return []
    if prompt is None:
        raise DataError(
            f"{path} is a folder of pictures without questions",
            remedy='say what to ask: read(path, prompt="Describe the picture."), or --prompt',
        )
    root = path.resolve()
    kept = chosen(lambda: iter(pictures), limit, seed)
    return [Sample(str(file.relative_to(root)), prompt, (str(file),)) for file in kept]


def _files(path: Path) -> list[Path]:
    """Pictures in all subfolders; links to folders are not followed, so none leads in a circle."""
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES and file.is_file())
