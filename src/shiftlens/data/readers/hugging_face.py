"""Data sets as Hugging Face's ``datasets`` saves them; read with pyarrow, without that package."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.layouts.rows import field, load_object
from shiftlens.data.readers.columnar import arrow_rows
from shiftlens.data.readers.row import Row

_STATE, _SPLITS = "state.json", "dataset_dict.json"


def is_saved(path: Path) -> bool:
    """Whether a folder is what ``save_to_disk`` of a data set, or of several splits, writes."""
    one = (path / _STATE).is_file() and (path / "dataset_info.json").is_file()
    return one or (path / _SPLITS).is_file()


def saved_rows(path: Path, *, light: bool = False) -> Iterator[Row]:
    """The rows of a saved data set; of several splits, ids begin with their names.

    Every row of several splits has a column ``split``, unless it had one before.

    Args:
        path: the folder.
        light: give ``None`` for every value that holds bytes.

    Raises:
        DataError: a file is missing, damaged or not what it should be.
    """
    if not (path / _SPLITS).is_file():
        yield from _rows(path, light)
        return
    for split in field(load_object(path / _SPLITS), "splits", list, _SPLITS):
        if not isinstance(split, str) or Path(split).name != split or split in ("", ".", ".."):
            raise DataError(f"{_SPLITS}: {split!r:.60} is no name of a split")
        for row in _rows(path / split, light):
            yield row.of_split(split)


def _rows(path: Path, light: bool) -> Iterator[Row]:
    state = load_object(path / _STATE)
    if state.get("_indices_data_files"):
        raise DataError(
            f"{path} has rows in another order than its files",
            remedy="save it once more after flatten_indices()",
        )
    number = 0
    for name in _files(state, path):
        for row in arrow_rows(path / name, light=light):
            number += 1
            where = f"row {number} of {path.name} (in {name})"
            yield replace(row, where=where, number=number)


def _files(state: dict[str, Any], path: Path) -> Sequence[str]:
    listed = field(state, "_data_files", list, f"{path.name}/{_STATE}")
    names = [one.get("filename") if isinstance(one, dict) else None for one in listed]
    bad = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if bad:
        raise DataError(
            f"{path.name}/{_STATE}: {bad[0]!r:.60} is no file of that folder",
            allowed="names like data-00000-of-00001.arrow",
        )
    return [str(name) for name in names]
