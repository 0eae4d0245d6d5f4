"""Interventions as JSON and tensors."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import ExportError, StoreError
from shiftlens.core.fields import Fields
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.keeping.gates import gate_data, gate_from
from shiftlens.steering.keeping.parts import Tensors, below, under
from shiftlens.steering.keeping.scopes import scope_data, scope_from
from shiftlens.steering.operators import OPERATORS, MoveTo, Operator


def intervention_data(one: Intervention) -> tuple[dict[str, Any], Tensors]:
    """An intervention as JSON and tensors.

    Raises:
        ExportError: an operator, a scope or a gate of the user's own.
    """
    gate, tensors = None, dict(under("vector", one.vector.tensors()))
    if one.gate is not None:
        gate, own = gate_data(one.gate)
        tensors |= dict(under("gate", own))
    kind = "vector" if isinstance(one.vector, SteeringVector) else "affine edit"
    return {
        "type": kind,
        "vector": one.vector.to_data(),
        "strength": float(one.strength),
        "scope": scope_data(one.scope),
        "operator": None if one.operator is None else _operator_data(one.operator),
        "layers": None if one.layers is None else list(one.layers),
        "gate": gate,
    }, tensors


def _operator_data(operator: Operator) -> dict[str, Any]:
    if type(operator) not in OPERATORS.values():
        raise ExportError(
            f"the operator {operator.name!r} is a class of yours, which a file cannot hold",
            allowed=", ".join(OPERATORS),
        )
    target = {"target": operator.target} if isinstance(operator, MoveTo) else {}
    return {"operator": operator.name, **target}


def intervention_from(data: Fields, tensors: Mapping[str, Tensor]) -> Intervention:
    """The intervention that ``intervention_data`` wrote.

    Raises:
        StoreError: something is missing, or of the wrong kind.
        SteeringError: a vector, a scope or a gate that cannot be.
    """
    kind, inside = data.text("type"), below("vector", tensors)
    if kind not in ("vector", "affine edit"):
        raise data.wrong("type", kind, "vector, affine edit")
    vector = (SteeringVector if kind == "vector" else AffineEdit).from_data(
        inside, data.inner("vector")
    )
    operator, layers, gate = data.take("operator"), data.take("layers"), data.take("gate")
    if kind == "affine edit" and operator is not None:
        raise StoreError(f"{data.where} has an operator beside an affine edit")
    made = Intervention(
        vector,
        strength=data.number("strength"),
        scope=scope_from(data.inner("scope")),
        operator=None
        if operator is None
        else _operator(Fields(operator, f"operator of {data.where}")),
        layers=None if layers is None else _layers(layers, data.where),
        gate=None
        if gate is None
        else gate_from(Fields(gate, f"gate of {data.where}"), below("gate", tensors)),
    )
    data.done()
    return made


def _operator(data: Fields) -> Operator:
    name = data.text("operator")
    if name not in OPERATORS:
        raise data.wrong("operator", name, ", ".join(OPERATORS))
    made = MoveTo(data.number("target")) if name == MoveTo.name else OPERATORS[name]()
    data.done()
    return made


def _layers(value: Any, where: str) -> tuple[int, ...]:
    # Of the end, too: Intervention(layers=(-1,)) means the last block of whichever model.
    found = Fields({"layers": value}, where).wholes("layers", lowest=-(2**31))
    if not found or len(set(found)) < len(found):
        raise StoreError(f"{where} has the layers {list(found)}", allowed="one or more, each once")
    return found
