"""``Columns``: which column of a table is the picture, which the question."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.row import Row, absent
from shiftlens.data.sample import Sample

OURS = ("id", "image", "images", "prompt", "response", "labels", "system", "max_new_tokens")
"""What a column may mean."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table mean.

    Args:
        names: their name for each of ours: ``{"image": "file_name", "prompt": "question"}``. A
            column of one of our names that is not mentioned means what its name says.
        others: whether columns that mean nothing become labels; they are refused otherwise.
        text: whether every value is a text, as in CSV: numbers and lists are read from it.
        leaves: whether a picture's path may lead out of the table's folder.

    Raises:
        DataError: one of our names that does not exist, or one column for two of them.
    """

    names: Mapping[str, str] = field(default_factory=dict[str, str])
    others: bool = True
    text: bool = False
    leaves: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.names) - set(OURS))
        if unknown:
            raise DataError(
                f"columns has no place for {', '.join(unknown)}",
                allowed=f"any of: {', '.join(OURS)}, each with the name of its column",
                remedy="every other column becomes a label by itself",
            )
        theirs = list(self.names.values())
        twice = sorted({one for one in theirs if theirs.count(one) > 1})
        if twice:
            raise DataError(f"columns names the column {twice[0]!r} twice")

    def sample(self, row: Row, folder: Path, prompt: str | None) -> Sample:
        """The sample that a row is.

        Args:
            row: the row.
            folder: what paths of pictures are relative to.
            prompt: asked in place of the row's; ``{question}`` in it stands for the row's where
                the column of prompts is named.

        Raises:
            DataError: the row has no prompt, or a value of a kind that its meaning does not allow.
        """
        found, labels = self._sorted(row)
        where = row.where
        asked = found.get("prompt") if prompt is None else prompt
        if not isinstance(asked, str) or (self.text and not asked.strip()):
            raise DataError(
                f"{where} has no prompt",
                allowed=f"its columns: {', '.join(row.values)}" if self.others else "",
                remedy="add one to the row, or pass prompt=" + _mapping_remedy(self.others),
            )
        if "prompt" in self.names and isinstance(question := found.get("prompt"), str):
            asked = asked.replace("{question}", question) if prompt is not None else asked
        response, system = found.get("response"), found.get("system")
        if not isinstance(labels, dict) or not (response is None or isinstance(response, str)):
            raise DataError(f"{where}: labels must be an object, response a text")
        if not (system is None or isinstance(system, str)):
            raise DataError(f"{where}: system must be a text")
        identity = row.prefix + str(found.get("id", row.number))
        images = tuple(self._path(ref, folder, where) for ref in self._refs(found, where))
        return Sample(identity, asked, images, response, labels, system, _most(found, where))

    def _sorted(self, row: Row) -> tuple[dict[str, Any], Any]:
        """Values by our names, and the labels."""
        meaning = {theirs: ours for ours, theirs in self.names.items()}
        found: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for name, value in row.values.items():
            ours = meaning.get(name, name if name in OURS and name not in self.names else "")
            if ours:
                if not (self.text and value == ""):  # an empty cell says nothing
                    found[ours] = value
            elif name and not _has_bytes(value):
                rest[name] = value
        labels = found.pop("labels", {})
        if self.text and isinstance(labels, str):
            labels = _parsed(labels, f"{row.where}: labels")
        if self.text and isinstance(most := found.get("max_new_tokens"), str):
            found["max_new_tokens"] = _parsed(most, f"{row.where}: max_new_tokens")
        if self.others:  # a table's empty cells are as good as absent ones
            found = {name: value for name, value in found.items() if value is not None}
            labels = {**rest, **labels} if isinstance(labels, dict) else labels
        return found, labels

    def _refs(self, found: Mapping[str, Any], where: str) -> list[str]:
        single = found.get("image")
        refs: Any = found.get("images", [] if single is None else [single])
        if self.text and isinstance(refs, str):
            refs = _parsed(refs, f"{where}: images") if refs.lstrip().startswith("[") else [refs]
        if any(isinstance(ref, dict) for ref in refs if isinstance(refs, list)):
            refs = [_embedded(ref, where) if isinstance(ref, dict) else ref for ref in refs]
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
            raise DataError(f"{where}: image must be a path, images a list of paths")
        return refs

    def _path(self, ref: str, folder: Path, where: str) -> str:
        try:
            path = (folder / ref).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL, or links that run in circles
            raise DataError(f"{where}: {ref!r:.80} is no path of a picture ({error})") from error
        # An absolute path says plainly where it leads; one that climbs may be somebody's trick.
        if not self.leaves and not Path(ref).is_absolute() and ".." in Path(ref).parts:
            climbs(ref, folder, where)
        return str(path)


def climbs(ref: str, folder: Path, where: str) -> None:
    """Refuse a relative path that leads out of the folder it is relative to.

    Raises:
        DataError: it does.
    """
    depth = 0
    for part in Path(ref).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise DataError(
                f"{where}: the picture {ref!r:.80} leads out of {folder}",
                allowed="paths inside that folder",
                remedy="put the pictures below it, or write absolute paths",
            )


def missing(names: Mapping[str, str], seen: Mapping[str, Any], source: str) -> None:
    """Refuse a mapping onto columns that no row has.

    Raises:
        DataError: it names one; the message says which ones exist.
    """
    lost = [theirs for theirs in names.values() if theirs not in seen]
    if lost:
        raise absent("columns", ", ".join(lost), source, seen)


def _mapping_remedy(others: bool) -> str:
    return ', or name its column: columns={"prompt": "question"}' if others else ""


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {text!r:.60} is not JSON ({error})") from error


def _most(found: Mapping[str, Any], where: str) -> int | None:
    most = found.get("max_new_tokens")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise DataError(f"{where}: max_new_tokens must be a whole number from 1 up")
    return most


def _has_bytes(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_bytes(one) for one in value.values())
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(_has_bytes, value)))


def _embedded(value: dict[str, Any], where: str) -> str:
    """The path of a picture that is stored as ``{"bytes": ..., "path": ...}``."""
    if isinstance(value.get("bytes"), bytes):
        raise DataError(
            f"{where}: the picture is embedded in the table, which cannot be read yet",
            remedy="write the pictures to files, and their paths into the column",
        )
    return value.get("path") or ""
