"""``Columns``: which column of a table is the picture, which the question."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.data.readers.row import Row, absent
from shiftlens.data.readers.unpacking import unpack
from shiftlens.data.sample import Sample

OURS = ("id", "image", "images", "prompt", "response", "labels", "system", "max_new_tokens")
"""What a column may mean."""

_PICTURES = {"image", "images"}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table mean.

    Args:
        names: their name for each of ours: ``{"image": "file_name", "prompt": "question"}``. A
            column of one of our names that is not mentioned means what its name says.
        others: whether columns that mean nothing become labels; they are refused otherwise.
        text: whether every value is a text, as in CSV: numbers and lists are read from it.
        leaves: whether a picture's path may lead out of the table's folder.
        unpacked: the folder that pictures which stand in the table itself are written to; ``None``
            refuses them.
        apart: a folder that they may not be written into: with pictures in it, it would be read as
            a folder of pictures the next time.

    Raises:
        DataError: one of our names that does not exist, or one column for two of them.
    """

    names: Mapping[str, str] = field(default_factory=dict[str, str])
    others: bool = True
    text: bool = False
    leaves: bool = False
    unpacked: Path | None = None
    apart: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.names, Mapping):
            raise DataError(
                f"columns is {self.names!r:.60}", allowed='a mapping: {"image": "file_name"}'
            )
        unknown = sorted(set(self.names) - set(OURS))
        if unknown:
            turned = set(self.names.values()) & set(OURS)
            raise DataError(
                f"columns has no place for {', '.join(unknown)}",
                allowed=f"any of: {', '.join(OURS)}, each with the name of its column",
                remedy='our name comes first: {"image": "file_name"}, image=file_name'
                if turned
                else "every other column becomes a label by itself",
            )
        theirs = list(self.names.values())
        twice = sorted({one for one in theirs if theirs.count(one) > 1})
        if twice:
            raise DataError(f"columns names the column {twice[0]!r} twice")
        if self.names.keys() >= _PICTURES:
            raise DataError("columns names image and images", allowed="one of them")

    def sample(self, row: Row, folder: Path, prompt: str | None) -> Sample:
        """The sample that a row is.

        Args:
            row: the row.
            folder: what paths of pictures are relative to, where the row does not say it.
            prompt: asked in place of the row's; ``{question}`` in it stands for the row's where
                the column of prompts is named.

        Raises:
            DataError: the row has no prompt, or a value of a kind that its meaning does not allow.
        """
        found, labels = self._sorted(row)
        where = row.where
        asked = self._asked(row, found.get("prompt"), prompt)
        response, system = found.get("response"), found.get("system")
        if not isinstance(labels, dict) or not (response is None or isinstance(response, str)):
            raise DataError(f"{where}: labels must be an object, response a text")
        if not (system is None or isinstance(system, str)):
            raise DataError(f"{where}: system must be a text")
        identity = found.get("id", row.number)
        if isinstance(identity, bool) or not isinstance(identity, (str, int, float)):
            raise DataError(f"{where}: id is {identity!r:.60}", allowed="a text, or a number")
        refs, most = self._refs(found, where), _most(found, where)
        images = tuple(self._path(ref, row.folder or folder, where) for ref in refs)
        try:
            return Sample(row.prefix + str(identity), asked, images, response, labels, system, most)
        except DataError as error:
            raise DataError(f"{where}: {error.given}", remedy=error.remedy) from error

    def _asked(self, row: Row, own: Any, prompt: str | None) -> str:
        asked = own if prompt is None else prompt
        if not isinstance(asked, str) or (self.text and not asked.strip()):
            raise DataError(
                f"{row.where} has no prompt",
                allowed=f"its columns: {', '.join(row.values)}" if self.others else "",
                remedy="add one to the row, or pass prompt= (--prompt)"
                + _mapping_remedy(self.others),
            )
        if prompt is None or "prompt" not in self.names or not isinstance(own, str):
            return asked
        return asked.replace("{question}", own)

    def _sorted(self, row: Row) -> tuple[dict[str, Any], Any]:
        """Values by our names, and the labels. What is empty or null is as good as absent."""
        meaning = {theirs: ours for ours, theirs in self.names.items()}
        found: dict[str, Any] = {}
        rest: dict[str, Any] = {}
        for name, value in row.values.items():
            if ours := meaning.get(name) or self._plain(name):
                if value is not None and not (self.text and value == ""):
                    found[ours] = value
            elif name and not _has_bytes(value):
                rest[name] = value
        labels = found.pop("labels", {})
        if self.text and isinstance(labels, str):
            labels = _parsed(labels, f"{row.where}: labels")
        if self.text and isinstance(most := found.get("max_new_tokens"), str):
            found["max_new_tokens"] = _parsed(most, f"{row.where}: max_new_tokens")
        if self.others:
            labels = {**rest, **labels} if isinstance(labels, dict) else labels
        return found, labels

    def _plain(self, name: str) -> str:
        """What a column means that nobody mapped: what its name says, or nothing."""
        if name not in OURS or name in self.names:
            return ""
        # Whoever says which column the pictures are does not mean a second one.
        return "" if name in _PICTURES and _PICTURES & self.names.keys() else name

    def _refs(self, found: Mapping[str, Any], where: str) -> list[str]:
        if found.keys() >= _PICTURES:
            raise DataError(
                f"{where} has image and images",
                allowed="one of them",
                remedy="put all paths into images, or name one of them: columns={...} (--columns)",
            )
        single = found.get("image")
        refs: Any = found.get("images", [] if single is None else [single])
        if self.text and isinstance(refs, str):
            refs = _parsed(refs, f"{where}: images") if refs.lstrip().startswith("[") else [refs]
        if isinstance(refs, list):
            refs = [self._embedded(one, where) if isinstance(one, dict) else one for one in refs]
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
            raise DataError(f"{where}: image must be a path, images a list of paths")
        return refs

    def _embedded(self, value: dict[str, Any], where: str) -> str:
        """The path of a picture that is stored as ``{"bytes": ..., "path": ...}``."""
        data, path = value.get("bytes"), value.get("path")
        if not isinstance(data, bytes):
            if isinstance(path, str):
                return path
            raise DataError(f"{where}: a picture has neither bytes nor a path")
        if self.unpacked is None:
            raise DataError(
                f"{where}: the picture stands in the table itself",
                allowed="paths of pictures, or a folder that they are written to",
                remedy='say where: read(source, unpack="runs/pictures")',
            )
        if self.apart is not None and self.unpacked.is_relative_to(self.apart):
            raise DataError(
                f"{where}: the picture stands in the table, and would go into {self.unpacked}, "
                "inside the folder that is read",
                remedy="write it, or the run's results, outside of that folder",
            )
        return unpack(data, self.unpacked)

    def _path(self, ref: str, folder: Path, where: str) -> str:
        if not ref or "\0" in ref:
            what = "empty" if not ref else f"{ref!r:.80}, which is no path"
            raise DataError(f"{where}: the path of a picture is {what}")
        if _ADDRESS.match(ref):  # whether it may be fetched is asked when it is opened
            return ref
        # An absolute path says plainly where it leads; one that climbs may be somebody's trick.
        if not self.leaves and not Path(ref).is_absolute() and ".." in Path(ref).parts:
            climbs(ref, folder, where)
        try:
            return str((folder / ref).resolve())
        except (OSError, RuntimeError):  # links that run in circles: harvesting sets it aside
            return str(folder / ref)


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
    if not others:
        return ""
    return ', or name its column: columns={"prompt": "question"} (--columns prompt=question)'


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
