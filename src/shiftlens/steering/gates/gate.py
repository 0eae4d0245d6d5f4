"""``Gate``: a decision for each sample, or for each position that emits a token; and, or, not."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jaxtyping import Bool, Float
from torch import Tensor

from shiftlens.core.errors import SteeringError

if TYPE_CHECKING:
    from shiftlens.models.model import Model

Decisions = Bool[Tensor, " m"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a gate is shown: one row a sample, or a row for each position that is decided.

    Attributes:
        states: (m, d) the states at the gate's block, before that block is edited; ``None`` for a
            gate that reads none.
        step: how many response tokens had been read; 0 at the prompt.
        rows: m.
        texts: gives the m prompts with their template, decoded, without special tokens.
    """

    states: Float[Tensor, "m d"] | None
    step: int
    rows: int
    texts: Callable[[], list[str]]

    def require_states(self) -> Float[Tensor, "m d"]:
        """The states.

        Raises:
            SteeringError: the gate has no layer, so none were read.
        """
        if self.states is None:
            raise SteeringError("this gate reads no states", remedy="give it a layer to read")
        return self.states


class Gate(ABC):
    """Decides whether an intervention applies; ``&``, ``|`` and ``~`` combine gates."""

    @abstractmethod
    def leaves(self) -> "tuple[Leaf, ...]":
        """The gates that it consists of and that read something themselves."""

    def parts(self) -> "tuple[Gate, ...]":
        """The gates that it was combined from; itself where it is none of the combinations."""
        return (self,)

    @abstractmethod
    def combine(self, decided: "Mapping[Leaf, Tensor]") -> Tensor:
        """Its decisions from those of its leaves, of any shape."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The gate as JSON, with what is known of its errors."""

    def bound(self, model: "Model") -> "Gate":  # noqa: ARG002
        """The gate with what it needs of a model, which no file holds: its unembedding.

        Raises:
            MismatchError: the gate belongs to another model.
        """
        return self

    def __and__(self, other: "Gate") -> "Gate":
        return Joint("and", (self, other))

    def __or__(self, other: "Gate") -> "Gate":
        return Joint("or", (self, other))

    def __invert__(self) -> "Gate":
        return Not(self)


class Leaf(Gate):
    """A gate that reads something itself."""

    layer: int | None
    """The block after which states are read; ``None`` where none are."""

    every_step: bool = False
    """Whether it decides again for every position that emits a token."""

    @abstractmethod
    def decide(self, reading: Reading) -> Decisions:
        """One decision for each row of the reading."""

    def leaves(self) -> "tuple[Leaf, ...]":
        """Itself."""
        return (self,)

    def combine(self, decided: "Mapping[Leaf, Tensor]") -> Tensor:
        """Its own decisions."""
        return decided[self]


class StateGate(Leaf):
    """A gate that decides from one state alone; its subclasses are frozen dataclasses."""

    @abstractmethod
    def opens(self, states: Float[Tensor, "m d"]) -> Decisions:
        """Whether the gate is open for each state."""

    def decide(self, reading: Reading) -> Decisions:
        """Whether the gate is open for each state of the reading."""
        return self.opens(reading.require_states())

    def at_every_step(self) -> "StateGate":
        """The same gate, deciding again for every position that emits a token.

        Fit such a gate on states of many positions: those of the last prompt position alone say
        little about later ones.
        """
        return replace(self, every_step=True)  # pyright: ignore[reportArgumentType, reportCallIssue]


@dataclass(frozen=True, eq=False)
class Joint(Gate):
    """Open where all of its gates are, or any.

    Attributes:
        kind: ``and`` or ``or``.
        gates: the parts.
    """

    kind: str
    gates: tuple[Gate, ...] = field(default_factory=tuple)

    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves of its parts."""
        return tuple(leaf for gate in self.gates for leaf in gate.leaves())

    def parts(self) -> tuple[Gate, ...]:
        """The gates that it was combined from."""
        return tuple(part for gate in self.gates for part in gate.parts())

    def combine(self, decided: Mapping[Leaf, Tensor]) -> Tensor:
        """Its decisions from those of its leaves."""
        first, *others = (gate.combine(decided) for gate in self.gates)
        for other in others:
            first = first & other if self.kind == "and" else first | other
        return first

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {"gate": self.kind, "of": [gate.describe() for gate in self.gates]}

    def bound(self, model: "Model") -> Gate:
        """The gate with what it needs of a model."""
        inner = tuple(gate.bound(model) for gate in self.gates)
        same = all(one is other for one, other in zip(inner, self.gates, strict=True))
        return self if same else Joint(self.kind, inner)


@dataclass(frozen=True, eq=False)
class Not(Gate):
    """Open where another gate is closed.

    Attributes:
        gate: the other one.
    """

    gate: Gate

    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves of its parts."""
        return self.gate.leaves()

    def parts(self) -> tuple[Gate, ...]:
        """The gates that it was combined from."""
        return self.gate.parts()

    def combine(self, decided: Mapping[Leaf, Tensor]) -> Tensor:
        """Its decisions from those of its leaves."""
        return ~self.gate.combine(decided)

    def describe(self) -> dict[str, Any]:
        """The gate as JSON."""
        return {"gate": "not", "of": [self.gate.describe()]}

    def bound(self, model: "Model") -> Gate:
        """The gate with what it needs of a model."""
        inner = self.gate.bound(model)
        return self if inner is self.gate else Not(inner)


def require_both(decisions: Tensor, name: str) -> None:
    """Refuse a gate that never changes its mind on its own data: it is no gate.

    Raises:
        SteeringError: every decision is the same.
    """
    if bool(decisions.all()) or not bool(decisions.any()):
        state = "open" if bool(decisions.all()) else "closed"
        raise SteeringError(
            f"the {name} gate is {state} on every one of its {len(decisions)} fitting rows",
            remedy="choose other concepts or rows, or steer without a gate",
        )
