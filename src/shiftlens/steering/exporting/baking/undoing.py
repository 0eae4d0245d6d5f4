"""``unbake``: the original checkpoint back from a baked one, where its receipt says how."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import read_json, write_json
from shiftlens.steering.exporting.baking.receipt import KIND, RECEIPT, SCHEMA
from shiftlens.steering.exporting.baking.stored import (
    Stored,
    beside,
    copy_files,
    restore_config,
    write_weights,
)


def unbake(folder: str | Path, out: str | Path) -> Path:
    """Write the checkpoint that another was baked from: the same tensors, bit for bit.

    Args:
        folder: a checkpoint that the target ``baked`` wrote, with its receipt.
        out: a folder that is empty or does not exist.

    Returns:
        ``out``.

    Raises:
        ExportError: there is no receipt, it is of another kind, matrices were changed (an ablation
            or a projector's edit: then the original model is the undo), or ``out`` is not empty.
        StoreError: the receipt is not JSON.
    """
    root, target = Path(folder), Path(out)
    receipt = _receipt(root)
    undo: dict[str, Any] = receipt["undo"]
    if not undo["possible"]:
        raise ExportError(
            f"{root} cannot be unbaked: {undo['why']}",
            remedy=f"take the original again: {receipt['base'].get('model')}",
        )
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ExportError(f"{target} is not empty", allowed="a new folder, or an empty one")
    found = Stored.open(root)
    kept = {key: file for key, file in found.files.items() if file not in undo["drop"]}
    stored = Stored(root, kept, {key: found.shapes[key] for key in kept})
    restored = {key: _as_it_was(one) for key, one in undo["restore"].items()}
    copy_files([name for name in beside(root) if name != RECEIPT], root, target)
    write_weights(stored, target, restored, {}, alone=len(set(kept.values())) == 1)
    if receipt["earlier"] is not None:
        write_json(target / RECEIPT, receipt["earlier"])
    restore_config(root, target, receipt["settings"])
    return target


def _receipt(root: Path) -> dict[str, Any]:
    if not (root / RECEIPT).is_file():
        raise ExportError(
            f"{root} holds no {RECEIPT}", allowed="a checkpoint that the target 'baked' wrote"
        )
    receipt = read_json(root / RECEIPT)
    found = (receipt.get("kind"), receipt.get("schema")) if isinstance(receipt, dict) else None
    if found != (KIND, SCHEMA):
        raise ExportError(
            f"{root / RECEIPT} is of another kind or schema ({found})",
            allowed=f"{KIND!r} of schema {SCHEMA}",
        )
    return receipt


def _as_it_was(one: dict[str, str]) -> Callable[[Tensor], Tensor]:
    data = bytearray(base64.b64decode(one["base64"], validate=True))
    before = torch.frombuffer(data, dtype=getattr(torch, one["dtype"]))

    def replace(_now: Tensor) -> Tensor:
        return before

    return replace
