"""Control vectors of llama.cpp as a ``Steering``: the way back from the target ``gguf``."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftlens.activations.selections.response import LastPrompt
from shiftlens.activations.site import Site
from shiftlens.concepts.files import provenance_of, refusing
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.core.manifest import sha256_file
from shiftlens.core.strict_json import parse_strict, shown
from shiftlens.models.claims import is_unknown, unknown_identity
from shiftlens.steering.exporting.gguf import ARCHITECTURE, OWN
from shiftlens.steering.exporting.gguf_file import GgufFile, floats, read_head
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering

_NAME = re.compile(r"direction\.([1-9][0-9]{0,5})")


def read_gguf(path: str | Path, *, model: Subject | None = None) -> Steering:
    """A control vector of llama.cpp, one intervention a block, added at every position.

    Nothing in the file runs. Strengths were folded in when it was made: all are 1 here.

    Args:
        path: of the ``.gguf`` file.
        model: whose vectors they are, on your word; of a file of ours, which says whose they are,
            it must be that one. Without it, what a file of ours says counts; vectors of an unknown
            model can be looked at and exported, and steer none.

    Returns:
        the steering; its ``provenance`` names the file's SHA-256 and model hint.

    Raises:
        StoreError: no GGUF, damaged, another kind of GGUF (a model), tensors that are not float32
            directions of one width.
        MismatchError: the model has another width, too few blocks, or other weights than the file
            says.
    """
    with refusing(str(path)):
        return _read(Path(path), model)


def _read(place: Path, model: Subject | None) -> Steering:
    file = read_head(place)
    kind = file.values.get("general.architecture")
    if kind != ARCHITECTURE:
        raise StoreError(
            f"{place} holds {shown(kind)}, not a control vector",
            allowed=f"GGUF files with general.architecture = {ARCHITECTURE!r}",
        )
    blocks = _blocks(file, place)
    told, mark = _told(file, place), sha256_file(place)
    known = _identity(told, place)
    if model is None:
        identity = known or unknown_identity(mark)
    else:
        identity = _claimed(model, blocks, file)
        _require_same(known, identity, model)
    hint = file.values.get(f"{ARCHITECTURE}.model_hint")
    about = {
        "made by": "import of a control vector",
        "sha256": mark,
        "model_hint": hint[:200] if isinstance(hint, str) else None,
    }
    parts: list[Intervention] = []
    for block, name in blocks.items():
        site = Site(block, LastPrompt())
        vector = SteeringVector(
            _direction(place, file, name),
            site,
            f"{told['name'] or place.stem}, block {block}",
            "control vector",
            _norm(told, block),
            {"model": identity, **about},
        )
        parts.append(Intervention(vector, scope="all"))
    return Steering(
        tuple(parts),
        name=told["name"] or place.stem,
        description=told["description"],
        licence=told["licence"],
        provenance=about,
    )


def _blocks(file: GgufFile, path: Path) -> dict[int, str]:
    """Names of the tensors by block; all of them directions of one width."""
    found: dict[int, str] = {}
    widths: set[int] = set()
    for name, entry in file.tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise StoreError(
                f"{path} has the tensor {name[:60]!r}",
                allowed="direction.N, with N the index of a block from 1 up",
            )
        if not entry.is_float32 or len(entry.dims) != 1 or not entry.dims[0]:
            raise StoreError(
                f"the tensor {name!r} of {path} has the type {entry.kind} and the shape "
                f"{entry.dims}",
                allowed="float32 (type 0) in one dimension: packed control vectors are not read",
            )
        found[int(match[1])] = name
        widths.add(entry.dims[0])
    if not found:
        raise StoreError(f"{path} has no direction in it")
    if len(widths) > 1:
        raise StoreError(f"the directions of {path} have the widths {sorted(widths)}")
    return dict(sorted(found.items()))


def _direction(path: Path, file: GgufFile, name: str) -> torch.Tensor:
    array = np.frombuffer(floats(path, file, name), dtype="<f4").astype(np.float32)
    if not np.isfinite(array).all():
        raise StoreError(f"the tensor {name!r} of {path} has entries that are not finite")
    return torch.from_numpy(array)


def _told(file: GgufFile, path: Path) -> dict[str, Any]:
    """What a file of ours says of itself; empty texts for one of somebody else."""
    text = file.values.get(OWN)
    if text is None:
        return {"name": "", "description": "", "licence": "", "vectors": []}
    if not isinstance(text, str):
        raise StoreError(f"{OWN} of {path} is no text")
    data = Fields(parse_strict(text.encode(), f"{OWN} of {path}"), f"{OWN} of {path}")
    told: dict[str, Any] = {key: data.text(key, "") for key in ("name", "description", "licence")}
    return {**told, "vectors": data.items("vectors", [])}


def _identity(told: dict[str, Any], place: Path) -> dict[str, Any] | None:
    """The model that all vectors of a file of ours came from; ``None`` where nobody knows it.

    Raises:
        StoreError: what the file says of it is of the wrong kind.
    """
    models = [one.get("model") for one in told["vectors"] if isinstance(one, dict)]
    first = models[0] if models else None
    if not isinstance(first, dict) or "weights" not in first or models.count(first) < len(models):
        return None
    where = Fields({"provenance": {"model": first}}, f"{OWN} of {place}")
    return None if is_unknown(first) else provenance_of(where)["model"]


def _require_same(known: dict[str, Any] | None, named: dict[str, Any], model: Subject) -> None:
    """Refuse a model other than the one that the file says its vectors came from.

    Raises:
        MismatchError: it has other weights.
    """
    theirs = (known or {}).get("weights")
    if theirs is not None and theirs != named.get("weights"):
        raise MismatchError(
            f"the file says that its vectors come from other weights than those of {model.name}",
            remedy="name the model that they were made with, or leave --model out",
        )


def _claimed(model: Subject, blocks: dict[int, str], file: GgufFile) -> dict[str, Any]:
    address = model.claim.address
    for block, name in blocks.items():
        (d,) = file.tensors[name].dims
        if d != address.d:
            raise MismatchError(
                f"the directions have {d} entries",
                allowed=f"{model.name} has a residual stream of width {address.d}",
            )
        address.layer(block, model.name)
    if model.claim.identity is None:
        raise MismatchError(
            f"the weights of {model.name} are not at hand, so the vectors cannot be held to them",
            remedy="download the model first, or import without --model",
        )
    return {"model": model.name, **model.claim.identity}


def _norm(told: dict[str, Any], block: int) -> float:
    """Mean length of the states at a block, where a file of ours says it; 0 where it does not."""
    for one in told["vectors"]:
        if isinstance(one, dict) and one.get("layer") == block:
            norm = one.get("state_norm")
            if isinstance(norm, int | float) and math.isfinite(norm) and norm >= 0:
                return float(norm)
    return 0.0
