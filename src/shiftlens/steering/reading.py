"""Vectors, gates and whole interventions from files and from what is typed."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.core.strict_json import read_strict, shown
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import AboutToSay, Gate, LinearGate, PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import FILE, Steering, as_steering
from shiftlens.steering.operators import Add, Operator, read_operator

_GATES = "says:woman,man (about to be said), end, prompt:gun,bomb, probe:FILE; not: before it"


def read_vector(path: str | Path) -> SteeringVector | AffineEdit:
    """A steering vector or an affine edit, whichever the files hold.

    Args:
        path: with or without its ending.

    Raises:
        StoreError: missing, damaged, or something else.
    """
    found = read_kept(path)
    if isinstance(found, Steering):
        raise StoreError(
            f"{path} holds a whole steering, with settings of its own",
            allowed="a steering vector, or an affine edit",
            remedy="take its vectors: shiftlens.Steering.load(path).interventions[0].vector",
        )
    return found


def read_kept(path: str | Path) -> SteeringVector | AffineEdit | Steering:
    """A vector, an affine edit or a steering, whichever the files hold.

    Args:
        path: with or without its ending; or the folder of a steering.

    Raises:
        StoreError: missing, damaged, or something else.
    """
    stem = _stem(path)
    head = read_strict(stem.with_name(f"{stem.name}.json"))
    kind = head.get("kind") if isinstance(head, dict) else None
    if kind == "steering vector":
        return SteeringVector.load(stem)
    if kind == "affine edit":
        return AffineEdit.load(stem)
    if kind == "steering":
        return Steering.load(stem)
    raise StoreError(
        f"{stem}.json holds {shown(kind)}", allowed="a steering, a steering vector, an affine edit"
    )


def read_steering(
    paths: Sequence[str | Path],
    *,
    strength: float = 1.0,
    scope: str = "all",
    operator: str = "add",
    layers: Sequence[int] = (),
) -> Steering:
    """One steering of saved ones, vectors and affine edits.

    A steering keeps its settings, its strengths multiplied by ``strength``; vectors and edits take
    all of the settings.

    Raises:
        SteeringError: no file, or a setting that cannot be read or that a steering does not take.
        StoreError: a file is missing, damaged, or something else.
    """
    kept = [read_kept(path) for path in paths]
    found = [
        part
        for one in kept
        for part in _applied(
            one, strength, scope, read_operator(operator), tuple(layers), None, scope != "all"
        )
    ]
    whole = kept[0]
    if len(kept) == 1 and isinstance(whole, Steering):
        return replace(whole, interventions=tuple(found))
    return as_steering(found)


def _applied(
    one: SteeringVector | AffineEdit | Steering,
    strength: float,
    scope: str,
    operator: Operator,
    layers: tuple[int, ...],
    gate: Gate | None,
    scope_was_chosen: bool,
) -> list[Intervention]:
    """What a file holds, with settings: as interventions."""
    if isinstance(one, Steering):
        if gate is not None or layers or not isinstance(operator, Add) or scope_was_chosen:
            raise SteeringError(
                f"the steering {one.name!r} brings its own gates, scopes, layers and operators",
                allowed="a strength, which multiplies its own",
                remedy="leave --gate, --scope, --layers and --operator out; or name its vectors",
            )
        return [replace(part, strength=part.strength * strength) for part in one.interventions]
    # An affine edit brings its own operation: the default is not meant for it.
    own = isinstance(one, AffineEdit) and isinstance(operator, Add)
    chosen = None if own else operator
    return [Intervention(one, strength, scope, gate, chosen, layers or None)]


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
    """The interventions of files: vectors and edits with these settings, steerings with their own.

    The strength multiplies those of a steering, and every gate must be open.

    Raises:
        SteeringError: no file, a setting that cannot be read or that a steering does not take.
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
        part
        for one in map(read_kept, vectors)
        for part in _applied(one, strength, scope, chosen, tuple(layers), gate, scope != "response")
    ]


def _stem(path: str | Path) -> Path:
    """The path without the ending of either of its two files."""
    file = Path(path)
    if file.suffix in (".json", ".safetensors"):
        return file.with_suffix("")
    inside = file / FILE
    return inside if inside.with_name(f"{FILE}.json").is_file() else file
