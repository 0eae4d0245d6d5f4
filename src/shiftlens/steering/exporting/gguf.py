"""The target ``gguf``: control vectors of llama.cpp.

``direction.N`` is added to the output of the block with index N, counted from 0: to
``hidden_states[N + 1]`` of transformers. llama.cpp adds nothing after block 0.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from shiftlens.core.errors import ExportError, ShiftLensError
from shiftlens.core.manifest import replacing
from shiftlens.steering.exporting.refusing import HOOKS, additions
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.exporting.target import Plan, Target, targets
from shiftlens.steering.keeping.steering import Steering

ARCHITECTURE = "controlvector"
OWN = f"{ARCHITECTURE}.shiftlens"
"""Our own key, which llama.cpp leaves alone: names, norms and model of the vectors as JSON."""

FILE = "control-vector.gguf"

_DEEPSTACK = ("qwen3vl", "qwen3omni", "coherecompass", "granite4vision", "granitedocling")
"""Beginnings of architectures that feed pictures into several blocks."""


@targets.register("gguf")
class Gguf(Target):
    """A control vector of llama.cpp: additions at every position, after block 1 or later."""

    name = "gguf"

    def plan(self, steering: Steering, subject: Subject | None) -> Plan:
        """Sum what is added after each block; strengths are folded in.

        Raises:
            ExportError: something else than additions at every position, one after block 0, a
                model with deepstack; or the package gguf is missing.
        """
        _require_package()
        added = additions(steering, "llama.cpp", subject)
        if 0 in added:
            raise ExportError(
                "llama.cpp adds no vector after block 0, and this steers there",
                allowed="blocks 1 and later",
                remedy=f"export it as a checkpoint: --to baked; or {HOOKS}",
            )
        _require_no_deepstack(steering, subject)
        known = _own(steering)
        size = sum(4 * len(one) + 128 for one in added.values()) + len(known) + 512
        write = partial(_write, added, known, _hint(steering, subject))
        return Plan({FILE: size}, _notes(added, subject), write)


def _notes(added: Mapping[int, Tensor], subject: Subject | None) -> tuple[str, ...]:
    blocks = ", ".join(map(str, added))
    unchecked = (
        (
            "no model was named: that it has these blocks was not checked, and whether it is one "
            "with deepstack was told by the vectors alone",
        )
        if subject is None
        else ()
    )
    return (
        f"direction.N is added after the block with index N, counted from 0: here {blocks}; "
        "block 0 cannot be steered and is not in the file",
        f"strengths are folded in: llama-cli --control-vector {FILE}; another share of it: "
        f"--control-vector-scaled {FILE}:0.5",
        "it is added at every position, those of pictures among them",
        *unchecked,
    )


def _require_package() -> None:
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise ShiftLensError(
            "writing GGUF needs the package gguf", remedy='pip install "shiftlens[export]"'
        )


def _require_no_deepstack(steering: Steering, subject: Subject | None) -> None:
    told = {str(_model(one.vector).get("architecture", "")) for one in steering.interventions}
    stacked = [one for one in told if one.lower().startswith(_DEEPSTACK)]
    if subject is not None and _is_deep(subject.config.to_dict()):
        stacked = [subject.name]
    if stacked:
        raise ExportError(
            f"{stacked[0]} feeds pictures into several blocks (deepstack), and llama.cpp takes "
            "control vectors of another width there",
            remedy=f"export it as a checkpoint: --to baked; or {HOOKS}",
        )


def _is_deep(config: Mapping[Any, Any]) -> bool:
    """Whether a configuration, or one inside it, names blocks for deepstack."""
    return any(
        bool(value) if "deepstack" in str(key) else isinstance(value, Mapping) and _is_deep(value)
        for key, value in config.items()
    )


def _model(vector: Any) -> Mapping[str, Any]:
    return vector.provenance.get("model") or {}


def _hint(steering: Steering, subject: Subject | None) -> str:
    """The kind of language model, for people: the loader does not read it."""
    if subject is not None:
        return str(subject.config.get_text_config(decoder=True).model_type)
    return str(_model(steering.interventions[0].vector).get("architecture", "unknown"))


def _own(steering: Steering) -> str:
    vectors = [
        {
            "name": one.vector.name,
            "kind": one.vector.kind,
            "layers": list((one.vector.layer,) if one.layers is None else one.layers),
            "layer": one.vector.layer,
            "strength": one.strength,
            "state_norm": one.vector.state_norm,
            "model": dict(_model(one.vector)),
        }
        for one in steering.interventions
    ]
    told = {
        "schema": 1,
        "name": steering.name,
        "description": steering.description,
        "licence": steering.licence,
        "vectors": vectors,
        "doses": steering.doses,
    }
    return json.dumps(told, ensure_ascii=False)


def _write(added: Mapping[int, Tensor], known: str, hint: str, folder: Path) -> None:
    from gguf import GGUFWriter

    with replacing(folder / FILE) as temporary:
        writer = GGUFWriter(temporary, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", hint)
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(added))
        writer.add_string(OWN, known)
        for block, vector in added.items():
            writer.add_tensor(f"direction.{block}", vector.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
