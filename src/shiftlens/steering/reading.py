"""Vectors, gates and whole interventions from files and from what is typed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError, StoreError
from shiftlens.core.strict_json import read_strict, shown
from shiftlens.models.model import Model
from shiftlens.models.towers import Tower, modules_of
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import AboutToSay, Gate, LinearGate, PromptSays
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import FILE, Steering, as_steering
from shiftlens.steering.operators import Add, Operator, read_operator
from shiftlens.steering.scopes import read_scope

Layers = Sequence[int] | Literal["all"] | None
"""Blocks as they are given: some, all of the tower, or the vectors' own."""

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
    _require_there(path, stem)
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


def _require_there(path: str | Path, stem: Path) -> None:
    """What is named instead is often a model, a store, or the folder of another result.

    Raises:
        StoreError: no file of a steering, vector or edit is at the path.
    """
    if stem.with_name(f"{stem.name}.json").exists():
        return
    wrong = f"{stem}.json does not exist"
    if Path(path).exists():
        wrong = f"{path} holds no steering, steering vector or affine edit"
    raise StoreError(
        wrong,
        allowed="files of one, named without their ending, or the folder that search wrote",
        remedy="find and keep one: shiftlens search MODEL DATA --source yes --target no -o DIR",
    )


def read_steering(
    paths: Sequence[str | Path],
    *,
    strength: float = 1.0,
    scope: str | None = None,
    operator: str | None = None,
    layers: Layers = None,
    count: Callable[[Tower], int] | None = None,
) -> Steering:
    """One steering of saved ones, vectors and affine edits.

    A steering keeps its settings, its strengths multiplied by ``strength``, and takes no other;
    vectors take all of the settings, affine edits all but an operator.

    Args:
        paths: of the files.
        strength: multiplies that of a steering.
        scope: of vectors and edits; ``all`` unless given, the one that every engine knows.
        operator: of vectors; ``add`` unless given.
        layers: of vectors and edits, or ``all``; their own unless given.
        count: how many blocks a tower has, which ``all`` asks.

    Raises:
        SteeringError: no file, a setting that cannot be read, or one that a file brings itself.
        StoreError: a file is missing, damaged, or something else.
    """
    kept, typed = _read(paths, strength, scope, operator, layers)
    found = [part for one in kept for part in _applied(one, typed, "all", None, count)]
    whole = kept[0]
    if len(kept) == 1 and isinstance(whole, Steering):
        return replace(whole, interventions=tuple(found))
    return as_steering(found)


@dataclass(frozen=True)
class _Typed:
    """Settings as they were given; ``None`` where nobody gave one."""

    strength: float
    scope: str | None = None
    operator: Operator | None = None
    layers: Layers = None
    gates: Sequence[str] = ()

    @property
    def named(self) -> list[str]:
        """The settings that were given, other than the strength, as options."""
        given = {
            "--gate": self.gates or None,
            "--scope": self.scope,
            "--layers": self.layers,
            "--operator": self.operator,
        }
        return [name for name, value in given.items() if value is not None]


def _applied(
    one: SteeringVector | AffineEdit | Steering,
    typed: _Typed,
    scope: str,
    gate: Gate | None,
    count: Callable[[Tower], int] | None,
) -> list[Intervention]:
    """What a file holds, with settings: as interventions."""
    if isinstance(one, Steering):
        return [
            replace(part, strength=part.strength * typed.strength) for part in one.interventions
        ]
    # Where nothing was given, a vector is added; an affine edit has no operator.
    chosen = None if isinstance(one, AffineEdit) else typed.operator or Add()
    layers = _layers(one, typed.layers, count)
    return [Intervention(one, typed.strength, typed.scope or scope, gate, chosen, layers)]


def _require_taken(one: SteeringVector | AffineEdit | Steering, typed: _Typed) -> None:
    """Refuse settings that a file brings itself, also where they say what it says.

    Whoever gives a setting means it to be used.

    Raises:
        SteeringError: one was given.
    """
    if isinstance(one, Steering):
        if typed.named:
            raise SteeringError(
                f"the steering {one.name!r} brings its own gates, scopes, layers and operators, "
                f"and takes no {', '.join(typed.named)}",
                allowed="a strength, which multiplies its own",
                remedy=f"leave {', '.join(typed.named)} out; or name its vectors",
            )
        return
    if isinstance(one, AffineEdit) and typed.operator is not None:
        raise SteeringError(
            f"{one.name!r} is an affine edit ({one.kind}) and brings its own operation, and takes "
            "no --operator",
            remedy="leave --operator out",
        )


def _layers(
    one: SteeringVector | AffineEdit, layers: Layers, count: Callable[[Tower], int] | None
) -> tuple[int, ...] | None:
    if layers != "all":
        return None if layers is None else tuple(layers)
    if count is None:
        raise SteeringError(
            "nobody says how many layers there are",
            allowed="layers by their numbers, counted from 0",
            remedy="or name the model, which says it: --model DIRECTORY",
        )
    return tuple(range(count(cast(Tower, one.site.tower))))


def require_files(
    paths: Sequence[str | Path],
    *,
    strength: float = 1.0,
    scope: str | None = None,
    operator: str | None = None,
    layers: Layers = None,
    gates: Sequence[str] = (),
) -> None:
    """What ``read_interventions`` refuses without a model: for those who must load it first.

    Raises:
        SteeringError: no file, a setting that cannot be read, or one that a file brings itself.
        StoreError: a file is missing, damaged, or something else.
    """
    _read(paths, strength, scope, operator, layers, gates)


def _read(
    paths: Sequence[str | Path],
    strength: float,
    scope: str | None,
    operator: str | None,
    layers: Layers,
    gates: Sequence[str] = (),
) -> tuple[list[SteeringVector | AffineEdit | Steering], _Typed]:
    """What files hold, none of which brings a setting that was given."""
    if not paths:
        raise SteeringError("no vector to steer with", remedy="name one: --vector FILE")
    if not math.isfinite(strength):
        raise SteeringError(f"strength {strength!r} is not a finite number")
    if scope is not None:
        read_scope(scope)
    chosen = None if operator is None else read_operator(operator)
    kept, typed = [*map(read_kept, paths)], _Typed(strength, scope, chosen, layers, gates)
    for one in kept:
        _require_taken(one, typed)
    return kept, typed


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
    scope: str | None = None,
    operator: str | None = None,
    layers: Layers = None,
    gates: Sequence[str] = (),
) -> list[Intervention]:
    """The interventions of files: vectors and edits with these settings, steerings with their own.

    Args:
        model: is steered.
        vectors: the files.
        strength: multiplies that of a steering.
        scope: of vectors and edits; ``response`` unless given.
        operator: of vectors; ``add`` unless given.
        layers: of vectors and edits, or ``all``; their own unless given.
        gates: of vectors and edits; every one must be open.

    Raises:
        SteeringError: no file, a setting that cannot be read, or one that a file brings itself.
        StoreError: a file is missing, damaged, or something else.
    """
    kept, typed = _read(vectors, strength, scope, operator, layers, gates)
    gate: Gate | None = None
    for one in [read_gate(model, text) for text in gates]:
        gate = one if gate is None else gate & one

    def count(tower: Tower) -> int:
        return len(modules_of(model, tower))

    return [part for one in kept for part in _applied(one, typed, "response", gate, count)]


def _stem(path: str | Path) -> Path:
    """The path without the ending of either of its two files."""
    file = Path(path)
    if file.suffix in (".json", ".safetensors"):
        return file.with_suffix("")
    inside = file / FILE
    return inside if inside.with_name(f"{FILE}.json").is_file() else file
