"""Runs as a diff writes them, with answers of our choosing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftlens.activations import survey
from shiftlens.activations.manifest import Manifest
from shiftlens.core.manifest import write_json
from shiftlens.models.model import Response
from shiftlens.study.check.rows import Row, Run


def row(number: int, base: str = "a dog", tuned: str | None = None, **given: Any) -> Row:
    """One row; the tuned answer is the base's unless it is given."""
    told: dict[str, Any] = {
        "sample_id": f"s{number}",
        "group": f"p{number}.png",
        "prompt": "Describe the picture.",
        "labels": {},
        "divergence": (0.0, 0.0),
    }
    return Row(base=base, tuned=base if tuned is None else tuned, **{**told, **given})


def run(rows: Sequence[Row], concepts: Sequence[Mapping[str, Any]] | None = ()) -> Run:
    """A run in memory."""
    document = None if concepts is None else {"concepts": list(concepts)}
    models = {"base": {"name": "base"}, "tuned": {"name": "tuned"}}
    return Run(Path("run"), tuple(rows), models, "0" * 64, document)


def changed(n: int, share: float, **given: Any) -> Run:
    """``n`` pictures, of whose answers a share, rounded, changed: a dog became a cat."""
    flipped = round(n * share)
    return run([row(i, tuned="a cat" if i < flipped else None, **given) for i in range(n)])


def concept(
    index: int, words: Sequence[str], estimate: float | None, half: float = 0.1, pictures: int = 50
) -> dict[str, Any]:
    """A concept of diff.json; without an estimate it has no interval."""
    told: dict[str, Any] = {"estimate": estimate, "low": None, "high": None, "pictures": pictures}
    if estimate is not None:
        told |= {"low": estimate - half, "high": estimate + half}
    effect = {**told, "why": "" if estimate is not None else "refits do not find it"}
    return {
        "index": index,
        "words_base": ["on", *words],
        "contrastive_base": list(words),
        "moved": effect,
        "own": effect,
    }


def write_run(root: Path, rows: Sequence[Row], *, document: bool = True, parts: int = 2) -> Path:
    """A directory as ``shiftlens diff`` leaves it, written by the survey's own writer."""
    models = [_identity("base", None), _identity("base", "places")]
    about = {
        "base": {"model": "models/base", "adapter": None},
        "tuned": {"model": "models/base", "adapter": "models/places"},
    }
    identity = {"models": models, "data": "d" * 64, "options": {}}
    manifest = Manifest(root / "answers", identity, about, parts, kind="answers")
    size = -(-len(rows) // parts)
    for number in range(parts):
        entries = [_entry(one) for one in rows[number * size : (number + 1) * size]]
        (root / "answers").mkdir(parents=True, exist_ok=True)
        manifest.parts[number] = survey._write(root / "answers", number, entries, [])
    manifest.write()
    if document:
        named = {
            key: {**about[key], **one, "name": one["adapter_weights"] or one["weights"]}
            for key, one in zip(("base", "tuned"), models, strict=True)
        }
        write_json(root / "diff.json", _document(named))
    return root


def _document(models: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": 1,
        "kind": "diff",
        "models": models,
        "data": {},
        "concepts": [concept(0, ["dog", "run"], 0.05), concept(1, ["cat", "sit"], 0.9)],
    }


def _identity(weights: str, adapter: str | None) -> dict[str, Any]:
    return {"weights": weights, "adapter_weights": adapter}


def _entry(one: Row) -> dict[str, Any]:
    return {
        "sample_id": one.sample_id,
        "image": one.group,
        "prompt": one.prompt,
        "labels": json.dumps(dict(one.labels), ensure_ascii=False),
        **survey._columns("base", Response(one.base, (1,), False)),
        **survey._columns("tuned", Response(one.tuned, (1,), False)),
        "divergence": list(one.divergence),
    }
