"""What formats of engines cannot express, refused in the same words by every target."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError, SteeringError
from shiftlens.steering.exporting.subject import Subject
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.steering import Steering
from shiftlens.steering.operators import Add
from shiftlens.steering.scopes import read_scope

HOOKS = "steer with hooks: shiftlens.steer(model, steering), or --vector FILE"
"""What can express everything."""


def require_sound(one: Intervention) -> None:
    """Refuse what would steer nothing, or with numbers that are none, whatever the engine.

    Raises:
        SteeringError: a strength that is no finite number; an operator beside an affine edit.
        ExportError: strength 0, or a vector of length 0.
    """
    vector = one.vector
    if not isinstance(one.strength, int | float) or not math.isfinite(one.strength):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SteeringError(f"strength {one.strength!r} is not a finite number")
    if one.strength == 0:
        raise ExportError(f"{vector.name!r} has strength 0: there is nothing to export")
    if isinstance(vector, SteeringVector):
        if vector.norm == 0:
            raise ExportError(f"{vector.name!r} has length 0: there is nothing to export")
    elif one.operator is not None:
        raise SteeringError(
            f"{vector.name!r} is an affine edit and brings its own operation",
            remedy=f"leave the operator {one.operator.name} out",
        )


def require_no_gate(one: Intervention, target: str) -> None:
    """Refuse a gate.

    Raises:
        ExportError: there is one.
    """
    if one.gate is not None:
        raise ExportError(
            f"{target} has no gates, and {one.vector.name!r} is gated "
            f"({one.gate.describe()['gate']})",
            allowed="interventions without a gate",
            remedy=HOOKS,
        )


def require_all_positions(one: Intervention, target: str) -> None:
    """Refuse every scope but ``all``.

    Raises:
        ExportError: another scope.
    """
    require_scope(one, target, ("all",))


def require_scope(one: Intervention, target: str, known: Sequence[str]) -> str:
    """The scope of an intervention, where the target knows it.

    Raises:
        ExportError: another scope.
    """
    scope = str(read_scope(one.scope))
    if scope not in known:
        raise ExportError(
            f"{target} steers at the positions {' or '.join(known)}, and {one.vector.name!r} has "
            f"the scope {scope!r}",
            allowed=f"the scope {' or '.join(known)}",
            remedy=f"evaluate it at every position (scope 'all') and export that; or {HOOKS}",
        )
    return scope


def require_language(one: Intervention, target: str) -> None:
    """Refuse the vision tower and the projector.

    Raises:
        ExportError: it lives there.
    """
    if one.tower != "language":
        raise ExportError(
            f"{target} steers blocks of the language model, and {one.vector.name!r} lives in the "
            f"{one.tower}",
            remedy=HOOKS,
        )


def require_addition(one: Intervention, target: str) -> SteeringVector:
    """The vector of an intervention that only adds it.

    Raises:
        ExportError: an affine edit, or another operator than ``add``.
    """
    vector, operator = one.vector, one.operator or Add()
    if not isinstance(vector, SteeringVector):
        raise ExportError(
            f"{target} adds vectors, and {vector.name!r} is an affine edit ({vector.kind})",
            remedy=HOOKS,
        )
    if not isinstance(operator, Add):
        raise ExportError(
            f"{target} adds vectors, and {vector.name!r} has the operator {operator.name}",
            allowed="the operator add",
            remedy=HOOKS,
        )
    return vector


def layers_of(one: Intervention, subject: Subject | None) -> tuple[int, ...]:
    """The blocks of an intervention, counted from 0.

    Raises:
        ExportError: one that is counted from the end, and no model says how many there are.
        SiteError: a block that the model does not have.
        SteeringError: no block, or one twice.
    """
    layers = (one.vector.layer,) if one.layers is None else tuple(one.layers)
    if subject is not None:
        address = subject.claim.address
        layers = tuple(address.layer(layer, subject.name) for layer in layers)
    if not layers or len(set(layers)) < len(layers):
        raise SteeringError(
            f"layers {one.layers} of {one.vector.name!r}", allowed="one or more, each once"
        )
    if any(layer < 0 for layer in layers):
        raise ExportError(
            f"{one.vector.name!r} is applied after the blocks {layers}, counted from the end",
            allowed="blocks counted from 0",
            remedy="or name the model, which says how many there are: --model DIRECTORY",
        )
    return layers


def additions(steering: Steering, target: str, subject: Subject | None) -> dict[int, Tensor]:
    """What is added after each block: sums of strength times vector, (d,) float32.

    Raises:
        ExportError: something that is no addition at every position of the language model.
    """
    found: dict[int, Tensor] = {}
    _require_one_width(steering, target)
    for one in steering.interventions:
        require_no_gate(one, target)
        require_language(one, target)
        require_all_positions(one, target)
        vector = require_addition(one, target)
        for layer in layers_of(one, subject):
            # Wide, so that many small parts lose nothing before they are rounded once.
            added = vector.direction.double() * one.strength
            found[layer] = found[layer] + added if layer in found else added
    return {layer: _rounded(found[layer], layer) for layer in sorted(found)}


def _rounded(added: Tensor, layer: int) -> Tensor:
    """In float32.

    Raises:
        ExportError: it holds what no float32 does.
    """
    narrow = added.float()
    if not bool(torch.isfinite(narrow).all()):
        raise ExportError(
            f"what is added after block {layer} is {float(added.norm()):.3g} long: no float32 "
            "holds",
            remedy="choose a smaller strength",
        )
    return narrow


def _require_one_width(steering: Steering, target: str) -> None:
    widths = sorted({one.d for one in steering.interventions})
    if len(widths) > 1:
        raise ExportError(
            f"{target} needs vectors of one width, and these have {' and '.join(map(str, widths))}",
            remedy="export the vectors of each model by themselves",
        )
