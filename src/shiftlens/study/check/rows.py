"""A finished diff, as far as a check needs it: answers, and what diff.json says of concepts.

Nothing here loads a model or imports torch: a check takes a second.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.activations.manifest import Manifest, has_manifest, read_manifest
from shiftlens.core.errors import DataError, MismatchError, ShiftLensError, StoreError
from shiftlens.core.manifest import read_json, sha256_file

_SCHEMA = 1
_COLUMNS = ("sample_id", "image", "prompt", "labels", "base_text", "tuned_text", "divergence")


@dataclass(frozen=True)
class Row:
    """What both models answered to one sample.

    Attributes:
        sample_id: of the sample.
        group: its picture, or its id where it has none: what is resampled.
        prompt: what was asked.
        labels: of the sample.
        base, tuned: the two answers.
        divergence: KL(base || tuned) in nats at each token of the base's answer.
    """

    sample_id: str
    group: str
    prompt: str
    labels: Mapping[str, Any]
    base: str
    tuned: str
    divergence: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """What ``shiftlens diff`` left behind.

    Attributes:
        path: its directory.
        rows: answers, one row a sample.
        models: ``base`` and ``tuned``, each with where it comes from.
        data: fingerprint of the samples.
        document: content of diff.json; ``None`` where the diff ended after the answers.
    """

    path: Path
    rows: tuple[Row, ...]
    models: Mapping[str, Mapping[str, Any]]
    data: str
    document: Mapping[str, Any] | None

    @property
    def pictures(self) -> int:
        """How many different pictures, or samples without one."""
        return len({row.group for row in self.rows})

    @property
    def concepts(self) -> Sequence[Mapping[str, Any]]:
        """Concepts of diff.json.

        Raises:
            DataError: the diff ended before there were any.
        """
        if self.document is None:
            raise DataError(
                f"{self.path} holds answers, but no concepts: its diff did not finish",
                remedy="run the same diff again: it goes on from there",
            )
        return self.document["concepts"]


def read_run(path: str | Path) -> Run:
    """Read the directory of a diff.

    Raises:
        StoreError: it is none, it is unfinished, damaged or of another schema.
        MismatchError: diff.json and the answers are those of different models.
    """
    root = Path(path)
    if not has_manifest(root / "answers"):
        raise StoreError(
            f"{root} is not the directory of a diff: it has no answers/manifest.json",
            allowed="what a diff writes: answers/ and diff.json",
            remedy="make one: shiftlens diff BASE TUNED DATA --out DIR",
        )
    try:
        return _run(root, read_manifest(root / "answers", "answers"))
    except ShiftLensError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{root} is damaged ({type(error).__name__}: {error})",
            remedy="run the diff again in another directory",
        ) from error


def _run(root: Path, manifest: Manifest) -> Run:
    if not manifest.complete:
        raise StoreError(
            f"{manifest.root} has {len(manifest.parts)} of {manifest.n_parts} parts",
            remedy="run the same diff again: it goes on from there",
        )
    rows = tuple(row for part in manifest.ordered() for row in _part(manifest, part))
    if not rows:
        raise StoreError(f"{manifest.root} has no answer that could be read")
    document = _document(root / "diff.json", manifest)
    models = manifest.about if document is None else document["models"]
    return Run(root, rows, models, str(manifest.identity["data"]), document)


def _part(manifest: Manifest, part: Mapping[str, Any]) -> list[Row]:
    """Rows of one file, which must be the one that the manifest means."""
    import pyarrow.parquet as pq

    path = manifest.root / part["rows"]
    if not path.is_file() or sha256_file(path) != part["sha256"]["rows"]:
        raise StoreError(
            f"{path} is missing, or is not what was written",
            remedy="run the diff again in another directory",
        )
    return [_row(entry) for entry in pq.read_table(path, columns=list(_COLUMNS)).to_pylist()]


def _row(entry: Mapping[str, Any]) -> Row:
    return Row(
        sample_id=entry["sample_id"],
        group=entry["image"] or entry["sample_id"],
        prompt=entry["prompt"],
        labels=json.loads(entry["labels"]),
        base=entry["base_text"],
        tuned=entry["tuned_text"],
        divergence=tuple(entry["divergence"]),
    )


def _document(path: Path, manifest: Manifest) -> dict[str, Any] | None:
    """diff.json, which must speak of the models that gave the answers."""
    if not path.exists():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or found.get("kind") != "diff":
        raise StoreError(f"{path} is not the result of a diff")
    if found.get("schema") != _SCHEMA:
        raise StoreError(
            f"{path} is of schema {found.get('schema')}",
            allowed=f"schema {_SCHEMA}",
            remedy="read it with the version of shiftlens that wrote it",
        )
    missing = [key for key in ("models", "data", "concepts") if key not in found]
    if missing:
        raise StoreError(f"{path} lacks {missing[0]!r}", remedy="run the diff again")
    for name, identity in zip(("base", "tuned"), manifest.identity["models"], strict=True):
        for key in ("weights", "adapter_weights"):
            if found["models"][name].get(key) != identity.get(key):
                raise MismatchError(
                    f"{path} and {manifest.root} are of different models: {name} has other {key}",
                    remedy="run the diff again in an empty directory",
                )
    return found
