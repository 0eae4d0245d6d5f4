"""The target ``transformers``: one Python file and its tensors, which need no shiftlens."""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError
from shiftlens.core.manifest import write_atomic
from shiftlens.steering.exporting.refusing import (
    HOOKS,
    layers_of,
    require_language,
    require_no_gate,
    require_scope,
)
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.exporting.target import Plan, Target, targets
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.operators import OPERATORS, Add, MoveTo

SNIPPET, ARRAYS = "steer.py", "steer.safetensors"

_SOURCE = Path(__file__).with_name("snippet.py.txt")


@targets.register("transformers")
class Transformers(Target):
    """A file that steers a model of transformers: every operator and affine edit."""

    name = "transformers"

    def plan(self, steering: Steering, subject: Subject | None) -> Plan:
        """Write each intervention as an edit of the file; strengths stay apart.

        Raises:
            ExportError: a gate, another scope than ``all`` and ``response``, another tower, or an
                operator of the user's own.
        """
        tensors: dict[str, Tensor] = {}
        edits = [_edit(one, at, tensors, subject) for at, one in enumerate(steering.interventions)]
        path = None if subject is None else subject.claim.address.blocks_path
        arrays = save({name: one.contiguous().clone() for name, one in tensors.items()})
        mark = hashlib.sha256(arrays).hexdigest()
        files = {ARRAYS: arrays, SNIPPET: _source(edits, path, mark).encode()}
        notes = (
            f"needs torch, transformers and safetensors: from {Path(SNIPPET).stem} import steer",
            "it steers what the model computes inside the context, at every position or, where the "
            "scope is response, at those that emit the response",
        )
        sizes = {name: len(data) for name, data in files.items()}
        return Plan(sizes, notes, partial(_write, files))


def _edit(
    one: Intervention, at: int, tensors: dict[str, Tensor], subject: Subject | None
) -> dict[str, Any]:
    """One row of the file's table; its tensors are put beside the others."""
    target, vector = "this file", one.vector
    require_no_gate(one, target)
    require_language(one, target)
    scope = require_scope(one, target, ("all", "response"))
    tensors |= {f"{at}.{name}": tensor for name, tensor in vector.tensors().items()}
    row: dict[str, Any] = {
        "tensors": str(at),
        "blocks": list(layers_of(one, subject)),
        "strength": one.strength,
        "scope": scope,
        "width": one.d,
    }
    if not isinstance(vector, SteeringVector):
        return {**row, "operator": "affine", "clipped": vector.clipped}
    operator = one.operator or Add()
    if type(operator) not in OPERATORS.values():
        raise ExportError(
            f"the operator {operator.name!r} is a class of yours, which the file does not know",
            allowed=", ".join(OPERATORS),
            remedy=HOOKS,
        )
    target_at = {"target": operator.target} if isinstance(operator, MoveTo) else {}
    return {**row, "operator": operator.name, **target_at}


def _source(edits: list[dict[str, Any]], path: str | None, mark: str) -> str:
    # Values are written as JSON texts, which Python's own literals escape: names cannot break out.
    text = _SOURCE.read_text(encoding="utf-8")
    table = json.dumps(edits, indent=1)
    return (
        text.replace("@EDITS@", repr(table))
        .replace("@BLOCKS@", repr(path))
        .replace("@SHA256@", mark)
    )


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        write_atomic(folder / name, data)
