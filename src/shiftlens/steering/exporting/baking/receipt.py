"""The receipt of a baking: what was done to which tensor, why, and how it is undone."""

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from shiftlens import __version__
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.manifest import read_json, sha256_file
from shiftlens.steering.exporting.baking.stored import (
    INDEX,
    Stored,
    bytes_of,
    write_config_told,
)
from shiftlens.steering.intervening import Intervention

if TYPE_CHECKING:
    from shiftlens.steering.exporting.baking.oven import Oven

RECEIPT = "baked.json"
KIND, SCHEMA = "baked checkpoint", 1
# Above this a receipt keeps no copy of what it replaced: the original model is the copy.
_KEPT = 1 << 20


def receipt_of(oven: "Oven", folder: Path, checked: dict[str, Any]) -> dict[str, Any]:
    """The receipt, as JSON.

    Args:
        oven: what was baked.
        folder: where the checkpoint was written.
        checked: what the reverse check found.
    """
    after = Stored.open(folder)
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "shiftlens": __version__,
        "name": oven.steering.name,
        "description": oven.steering.description,
        "base": dict(oven.base),
        "interventions": [_described(one) for one in oven.steering.interventions],
        "notes": list(oven.notes),
        "settings": write_config_told(oven.stored.root, oven.changes.settings),
        "changed": {key: _digests(key, oven.stored, after) for key in sorted(oven.edits)},
        "added": sorted(oven.added),
        "files": {
            file.name: sha256_file(file)
            for file in sorted(folder.iterdir())
            if file.suffix == ".safetensors" or file.name in (INDEX, "config.json")
        },
        "check": {**checked, "in_memory": oven.tried.max_difference, **_apart(oven)},
        "undo": _undo(oven),
        "earlier": _earlier(oven.stored.root),
    }


def _apart(oven: "Oven") -> dict[str, float]:
    """Of an ablation, how far hooks after every block are from what was baked."""
    found = oven.expected.halfway
    return {} if found is None else {"hooks_after_blocks": found.max_difference}


def _earlier(root: Path) -> Any:
    """The receipt of what was baked before, where the original is a baked checkpoint itself."""
    return read_json(root / RECEIPT) if (root / RECEIPT).is_file() else None


def _described(one: Intervention) -> dict[str, Any]:
    vector = one.vector
    plain = isinstance(vector, SteeringVector)
    return {
        "name": vector.name,
        "kind": vector.kind,
        "site": vector.site.describe(),
        "layers": [vector.layer] if one.layers is None else list(one.layers),
        "operator": (one.operator.name if one.operator else "add") if plain else vector.kind,
        "strength": one.strength,
        "scope": str(one.scope),
        "norm": vector.norm if plain else None,
        "state_norm": vector.state_norm,
        "dose": abs(one.strength) * vector.norm / vector.state_norm
        if plain and vector.state_norm
        else None,
        "provenance": dict(vector.provenance),
    }


def _digests(key: str, before: Stored, after: Stored) -> dict[str, str]:
    def of(tensor: Tensor) -> str:
        return hashlib.sha256(bytes_of(tensor)).hexdigest()

    return {"before": of(before.read(key)), "after": of(after.read(key))}


def _undo(oven: "Oven") -> dict[str, Any]:
    """What brings the original back: tensors to drop, and small ones as they were."""
    sizes = {key: oven.stored.read(key) for key in oven.edits}
    whole = sum(one.numel() * one.element_size() for one in sizes.values()) <= _KEPT
    small = all(one.ndim == 1 for one in sizes.values())
    if not (whole and small):
        return {"possible": False, "why": "matrices were changed; the original model is the undo"}
    return {
        "possible": True,
        "drop": [oven.stored.new_file] if oven.added else [],
        "restore": {
            key: {
                "dtype": str(one.dtype).removeprefix("torch."),
                "base64": base64.b64encode(bytes_of(one)).decode(),
            }
            for key, one in sizes.items()
        },
    }
