"""``unbake``: the original checkpoint back from a baked one, where its receipt says how."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import sha256_file, write_json
from shiftlens.core.strict_json import read_strict
from shiftlens.steering.exporting.baking.receipt import KIND, RECEIPT, SCHEMA
from shiftlens.steering.exporting.baking.stored import (
    Stored,
    beside,
    bytes_of,
    copy_files,
    restore_config,
    write_weights,
)
from shiftlens.steering.exporting.staging import require_empty, staged

_TYPES = {
    str(one).removeprefix("torch."): one
    for one in (torch.float64, torch.float32, torch.bfloat16, torch.float16)
}


def unbake(folder: str | Path, out: str | Path) -> Path:
    """Write the checkpoint that another was baked from: the same tensors, bit for bit.

    Args:
        folder: a checkpoint that the target ``baked`` wrote, with its receipt.
        out: a folder that is empty or does not exist.

    Returns:
        ``out``.

    Raises:
        ExportError: there is no receipt, it is of another kind or damaged, the weights are not as
            they were baked, matrices were changed (an ablation or a projector's edit: then the
            original model is the undo), or ``out`` is not empty.
        StoreError: the receipt is not JSON.
        MachineError: the disk is full. Nothing half-written is left.
    """
    root, target = Path(folder), Path(out)
    require_empty(target)
    receipt = _receipt(root)
    try:
        kept, restored = _as_before(root, receipt)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(
            f"{root / RECEIPT} is damaged ({type(error).__name__}: {error})",
            remedy="take the original model again",
        ) from error
    with staged(target) as place:
        copy_files([name for name in beside(root) if name != RECEIPT], root, place)
        write_weights(kept, place, restored, {}, alone=len(set(kept.files.values())) == 1)
        if receipt["earlier"] is not None:
            write_json(place / RECEIPT, receipt["earlier"])
        restore_config(root, place, receipt["settings"])
    return target


def _as_before(
    root: Path, receipt: dict[str, Any]
) -> tuple[Stored, dict[str, Callable[[Tensor], Tensor]]]:
    """What stays of the checkpoint, and what small tensors were; both as the receipt says.

    Raises:
        ExportError: matrices were changed.
    """
    undo: dict[str, Any] = receipt["undo"]
    if not undo["possible"]:
        raise ExportError(
            f"{root} cannot be unbaked: {undo['why']}",
            remedy=f"take the original again: {receipt['base'].get('model')}",
        )
    _require_as_baked(root, receipt["files"])
    found = Stored.open(root)
    kept = {key: file for key, file in found.files.items() if file not in undo["drop"]}
    stored = Stored(root, kept, {key: found.shapes[key] for key in kept})
    restored: dict[str, Callable[[Tensor], Tensor]] = {}
    for key, one in undo["restore"].items():
        before = _tensor(one).reshape(stored.shapes[key])
        if hashlib.sha256(bytes_of(before)).hexdigest() != receipt["changed"][key]["before"]:
            raise ValueError(f"{key} is not what it was")
        restored[key] = _always(before)
    for name, told in receipt["settings"].items():
        _ = name.split("."), told["was_there"], told["before"]
    _ = receipt["earlier"]
    return stored, restored


def _require_as_baked(root: Path, files: dict[str, str]) -> None:
    """Refuse weights that were changed since: what came out would not be the original.

    Raises:
        ExportError: a file is missing, is another, or is not the receipt's.
    """
    weights = {name: mark for name, mark in files.items() if name.endswith(".safetensors")}
    there = {file.name: file for file in root.glob("*.safetensors")}
    wrong = sorted(weights.keys() ^ there.keys()) or sorted(
        name for name, mark in weights.items() if sha256_file(there[name]) != mark
    )
    if wrong:
        raise ExportError(
            f"{root / wrong[0]} is not as it was baked: what would come out is not the original",
            remedy="take the original model again",
        )


def _receipt(root: Path) -> dict[str, Any]:
    if not (root / RECEIPT).is_file():
        raise ExportError(
            f"{root} holds no {RECEIPT}", allowed="a checkpoint that the target 'baked' wrote"
        )
    receipt = read_strict(root / RECEIPT)
    found = (receipt.get("kind"), receipt.get("schema")) if isinstance(receipt, dict) else None
    if found != (KIND, SCHEMA):
        raise ExportError(
            f"{root / RECEIPT} is of another kind or schema ({found})",
            allowed=f"{KIND!r} of schema {SCHEMA}",
        )
    return receipt


def _tensor(one: dict[str, str]) -> Tensor:
    data = bytearray(base64.b64decode(one["base64"], validate=True))
    return torch.frombuffer(data, dtype=_TYPES[one["dtype"]])


def _always(before: Tensor) -> Callable[[Tensor], Tensor]:
    def replace(_now: Tensor) -> Tensor:
        return before

    return replace
