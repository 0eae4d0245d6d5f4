"""Cells: every combination of layer, strength, operator, scope and gate."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.models.model import Model
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.gates import Gate
from shiftlens.steering.intervening import Intervention, check
from shiftlens.steering.operators import Operator, read_operator
from shiftlens.steering.scopes import Scope, read_scope

Direction = SteeringVector | AffineEdit
Directions = Callable[[int], Direction] | Mapping[int, Direction]
Gates = Mapping[str, Gate | Callable[[int], Gate] | None]

UNGATED = "none"


@dataclass(frozen=True)
class Cell:
    """One setting, in words; ``grid`` gives the intervention that belongs to it.

    Attributes:
        layer: the block after which it acts, counted from 0.
        strength: how much of the vector.
        operator: what is done with it; of an affine edit, its kind.
        scope: at which positions.
        gate: for which samples; ``none`` for all of them.
    """

    layer: int
    strength: float
    operator: str
    scope: str
    gate: str = UNGATED

    @property
    def name(self) -> str:
        """For people: ``layer 3, add x 1.5, response``."""
        gate = "" if self.gate == UNGATED else f", gate {self.gate}"
        return f"layer {self.layer}, {self.operator} x {self.strength:g}, {self.scope}{gate}"

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


def grid(
    model: Model,
    directions: Directions,
    *,
    layers: Sequence[int],
    strengths: Sequence[float],
    operators: Sequence[str | Operator],
    scopes: Sequence[str | Scope],
    gates: Gates | None,
) -> dict[Cell, Intervention]:
    """All cells with what each does, layers first; each is checked against the model.

    Args:
        model: who is steered.
        directions: for each layer its vector or affine edit.
        layers: blocks, of the tower that the directions live in; negative ones count from the end
            of the language model.
        strengths: none of them 0, which is the unsteered model.
        operators: what is done with a vector; affine edits bring their own.
        scopes: positions.
        gates: names to gates, to functions that give a layer its gate, or to ``None`` for no gate.

    Raises:
        SteeringError: an empty list, a strength that is 0 or no number, a layer without a
            direction, a cell that cannot work or is there twice.
        SiteError: a layer that the model does not have.
        MismatchError: a vector of another model.
    """
    _require(layers=layers, strengths=strengths, operators=operators, scopes=scopes)
    for strength in strengths:
        if not math.isfinite(strength) or strength == 0:
            raise SteeringError(
                f"a strength of {strength:g}",
                allowed="finite numbers other than 0; the unsteered model is always measured",
            )
    chosen = [read_operator(one) if isinstance(one, str) else one for one in operators]
    where = [read_scope(one) for one in scopes]
    found: dict[Cell, Intervention] = {}
    for layer in (one if one >= 0 else model.address.layer(one, model.name) for one in layers):
        vector = _direction(directions, layer)
        acts: Sequence[Operator | None] = chosen if isinstance(vector, SteeringVector) else [None]
        axes = (acts, where, (gates or {UNGATED: None}).items(), strengths)
        for operator, scope, (label, gate), strength in itertools.product(*axes):
            kind = _name(operator) if operator is not None else _kind(vector)
            cell = Cell(layer, float(strength), kind, str(scope), label)
            if cell in found:
                raise SteeringError(f"the cell {cell.name} is there twice")
            guard = gate(layer) if callable(gate) and not isinstance(gate, Gate) else gate
            one = Intervention(vector, float(strength), scope, guard, operator, (layer,))
            check(model, one, None)
            found[cell] = one
    return found


def _require(**lists: Sequence[Any]) -> None:
    for name, values in lists.items():
        if not len(values):
            raise SteeringError(f"no {name} to search over", allowed="at least one")


def _direction(directions: Directions, layer: int) -> Direction:
    if callable(directions):
        return directions(layer)
    if layer not in directions:
        known = ", ".join(str(one) for one in sorted(directions))
        raise SteeringError(
            f"there is no direction for layer {layer}",
            allowed=f"layers {known or '(none)'}, counted from 0",
            remedy="harvest that layer too",
        )
    return directions[layer]


def _name(operator: Operator) -> str:
    target = getattr(operator, "target", None)
    return operator.name if target is None else f"{operator.name}:{target:g}"


def _kind(vector: Direction) -> str:
    return str(getattr(vector, "kind", "affine"))
