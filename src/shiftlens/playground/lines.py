"""``Line`` and ``KeptLine``: one direction and how it is applied, chosen here or kept before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shiftlens as sl
from shiftlens.playground.library import Direction, Steering
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Add, MoveTo, read_operator
from shiftlens.steering.reading import read_gate

if TYPE_CHECKING:
    from shiftlens.models.model import Model
    from shiftlens.steering.gates import Gate, LinearGate

_PROBE = "probe:"
_MOST_WORDS = 6


@dataclass(frozen=True)
class Said:
    """A line in words.

    Attributes:
        name: of the direction.
        operator, scope, gate: as ``shiftlens steer`` takes them, or nearly; empty for an affine
            edit's own operation, and for no gate.
        strength: how much of it.
        layers: blocks after which it acts.
        kind: what the direction is.
        source: where it lies, relative to the run; empty for a file of the visitor's own.
    """

    name: str
    operator: str
    strength: float
    layers: tuple[int, ...]
    scope: str
    gate: str
    kind: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "direction": {"name": self.name, "kind": self.kind, "source": self.source or None},
            "layers": list(self.layers),
            "strength": self.strength,
            "scope": self.scope,
            "operator": self.operator or None,
            "gate": self.gate or None,
        }


@dataclass(frozen=True)
class Line:
    """One direction of the run and how it is applied, as it is chosen in the page.

    Attributes:
        direction: what is steered with.
        layer: one of the direction's.
        root: the run's directory.
        strength: how much of it.
        scope: which positions.
        operator: what is done with the direction; an affine edit brings its own.
        gate: when, as ``shiftlens steer`` takes it, probes by their names in the run; empty for
            always.
        probe: the probe of the gate.
        how: the page's own choices, to show them again.
    """

    direction: Direction
    layer: int
    root: Path
    strength: float = 1.0
    scope: str = "response"
    operator: str = "add"
    gate: str = ""
    probe: "LinearGate | None" = None
    how: tuple[Any, ...] = ()

    @property
    def vector(self) -> Steering:
        """The direction at the layer."""
        return self.direction.vectors[self.layer]

    @property
    def does(self) -> str:
        """What is done with it; empty where it says so itself."""
        return "" if isinstance(self.vector, AffineEdit) else self.operator

    @property
    def gate_here(self) -> str:
        """The gate with its probe by its place on this machine."""
        return self.gate_with(str(self.root / self.gate.partition(_PROBE)[2]))

    def gate_with(self, probe: str) -> str:
        """The gate with its probe at a place."""
        # Words of a gate may hold anything, a colon among it.
        probed = self.gate.removeprefix("not:").startswith(_PROBE)
        head = self.gate.partition(_PROBE)[0]
        return f"{head}{_PROBE}{probe}" if probed else self.gate

    def intervention(self, model: "Model") -> Intervention:
        """What is done to the model."""
        return Intervention(
            self.vector,
            self.strength,
            self.scope,
            read_gate(model, self.gate_here) if self.gate else None,
            read_operator(self.does) if self.does else None,
        )

    def said(self) -> Said:
        """The same in words."""
        return Said(
            self.direction.title,
            self.does,
            self.strength,
            (self.layer,),
            self.scope,
            self.gate,
            self.vector.kind,
            self.direction.sources[self.layer],
        )


@dataclass(frozen=True)
class KeptLine:
    """One intervention of a steering that was kept, exactly as it was.

    Attributes:
        steering: reads it: a visitor's file is read again whenever it is needed, so that what is
            remembered of a visitor is a name and no numbers.
        at: its place in the steering.
        told: it in words.
    """

    steering: Callable[[], "sl.Steering"]
    at: int
    told: Said

    def intervention(self, model: "Model") -> Intervention:  # noqa: ARG002
        """What is done to the model."""
        return self.steering().interventions[self.at]

    def said(self) -> Said:
        """The same in words."""
        return self.told


Steers = Line | KeptLine
"""Something of a list that is steered with."""


def kept_lines(
    steering: "sl.Steering", read: Callable[[], "sl.Steering"], source: str
) -> tuple[KeptLine, ...]:
    """The lines of a steering.

    Args:
        steering: what was kept.
        read: reads it again.
        source: where it lies in the run; empty for a visitor's own.
    """
    return tuple(
        KeptLine(read, at, _said(one, source)) for at, one in enumerate(steering.interventions)
    )


def times(one: Intervention, factor: float) -> Intervention:
    """The same, that many times as strong."""
    return one if factor == 1 else replace(one, strength=one.strength * factor)


def _said(one: Intervention, source: str) -> Said:
    vector, operator = one.vector, one.operator or Add()
    target = f":{operator.target:g}" if isinstance(operator, MoveTo) else ""
    return Said(
        vector.name,
        "" if isinstance(vector, AffineEdit) else f"{operator.name}{target}",
        one.strength,
        one.layers or (vector.layer,),
        str(one.scope),
        "" if one.gate is None else gate_in_words(one.gate),
        vector.kind,
        source,
    )


def gate_in_words(gate: "Gate") -> str:
    """What a gate says of itself, on one line."""
    return _described(gate.describe())


def _described(told: Mapping[str, Any]) -> str:
    kind = str(told.get("gate", "a gate"))
    inner = [_described(one) for one in told.get("of", ())]
    if kind == "not":
        return f"not ({inner[0]})" if inner else kind
    if inner:
        return f" {kind} ".join(f"({one})" for one in inner)
    words = [str(one) for one in told.get("words", ())]
    listed = ", ".join(words[:_MOST_WORDS]) + (", …" if len(words) > _MOST_WORDS else "")
    layer = told.get("layer")
    block = f", after block {layer}" if isinstance(layer, int) else ""
    return f"{kind}{block}" + (f": {listed}" if listed else "")
