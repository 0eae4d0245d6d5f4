"""Vectors, gates and whole interventions from files and from what is typed."""

from collections.abc import Sequence
from pathlib import Path

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.core.manifest import read_json
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import AboutToSay, Gate, LinearGate, PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import read_operator

_GATES = "says:woman,man (about to be said), end, prompt:gun,bomb, probe:FILE; not: before it"


def read_vector(path: str | Path) -> SteeringVector | AffineEdit:
    """A steering vector or an affine edit, whichever the files hold.

    Args:
        path: with or without its ending.

    Raises:
        StoreError: missing, damaged, or something else.
    """
    stem = _stem(path)
    head = read_json(stem.with_name(f"{stem.name}.json"))
    kind = head.get("kind") if isinstance(head, dict) else None
    if kind == "steering vector":
        return SteeringVector.load(stem)
    if kind == "affine edit":
        return AffineEdit.load(stem)
    raise StoreError(f"{stem}.json holds {kind!r}", allowed="a steering vector, or an affine edit")


def read_gate(model: Model, text: str) -> Gate:
    """A gate as it is typed.

    ``says:woman,man`` is open where one of the words is about to be said, ``end`` where the
    response is about to end, ``prompt:gun,bomb`` where the prompt holds one of them, ``probe:FILE``
    where a saved probe says so; ``not:`` before any of them turns it round.

    Raises:
        SteeringError: it cannot be read.
        StoreError: the file is missing, damaged, or something else.
    """
    kind, _, rest = text.partition(":")
    words = [word.strip() for word in rest.split(",") if word.strip()]
    if kind == "not" and rest:
        return ~read_gate(model, rest)
    if kind == "says" and words:
        return AboutToSay.of(model, *words)
    if kind == "end" and not rest:
        return AboutToSay.of(model, or_to_end=True)
    if kind == "prompt" and words:
        return PromptSays(tuple(words))
    if kind == "probe" and rest:
        return LinearGate.load(_stem(rest))
    raise SteeringError(f"the gate {text!r} cannot be read", allowed=_GATES)


def read_interventions(
    model: Model,
    vectors: Sequence[str | Path],
    *,
    strength: float = 1.0,
    scope: str = "response",
    operator: str = "add",
    layers: Sequence[int] = (),
    gates: Sequence[str] = (),
) -> list[Intervention]:
    """One intervention a file, all with the same settings; every gate must be open.

    Raises:
        SteeringError: no file, or a setting that cannot be read.
        StoreError: a file is missing, damaged, or something else.
    """
    if not vectors:
        raise SteeringError("no vector to steer with", remedy="name one: --vector FILE")
    found = [read_gate(model, text) for text in gates]
    gate = None
    for one in found:
        gate = one if gate is None else gate & one
    chosen = read_operator(operator)
    return [
        Intervention(
            vector,
            strength,
            scope,
            gate,
            # An affine edit brings its own operation: the default is not meant for it.
            None if isinstance(vector, AffineEdit) and operator == "add" else chosen,
            tuple(layers) or None,
        )
        for vector in map(read_vector, vectors)
    ]


def _stem(path: str | Path) -> Path:
    """The path without the ending of either of its two files."""
    file = Path(path)
    return file.with_suffix("") if file.suffix in (".json", ".safetensors") else file
