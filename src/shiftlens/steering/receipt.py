"""``Receipt``: where an intervention fired, on how much, and how strongly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class VectorReceipt:
    """What one vector did.

    Attributes:
        name: of the vector.
        layer: the block after which it was applied.
        scope: which positions.
        strength: how much of it.
        tokens: how many positions were changed.
        samples: how many samples were seen; ``touched`` in how many of them it fired.
        dose: strength times the vector's length over the mean length of the states it changed.
        cosine: mean cosine of the vector with those states before the change.
        gate: what the gate was, or ``None``.
        gate_open: its decision for each sample in the order seen; empty without a gate.
    """

    name: str
    layer: int
    scope: str
    strength: float
    tokens: int
    samples: int
    touched: int
    dose: float
    cosine: float
    gate: Mapping[str, Any] | None
    gate_open: tuple[bool, ...]

    def summary(self) -> str:
        """One sentence."""
        where = f"after block {self.layer}, positions: {self.scope}"
        if self.strength == 0:
            return f"{self.name}: strength 0, nothing changed ({where})"
        gate = f", gate open for {sum(self.gate_open)}" if self.gate is not None else ""
        return (
            f"{self.name}: {self.tokens} tokens in {self.touched} of {self.samples} samples{gate}; "
            f"strength {self.strength:g}, dose {self.dose:.2f}, cosine {self.cosine:+.2f} ({where})"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "name": self.name,
            "layer": self.layer,
            "scope": self.scope,
            "strength": self.strength,
            "tokens": self.tokens,
            "samples": self.samples,
            "touched": self.touched,
            "dose": self.dose,
            "cosine": self.cosine,
            "gate": dict(self.gate) if self.gate is not None else None,
            "gate_open": list(self.gate_open),
        }


class Receipt:
    """What a steering context did so far; complete once the context is left."""

    def __init__(self) -> None:
        self.vectors: tuple[VectorReceipt, ...] = ()

    @property
    def tokens(self) -> int:
        """Positions changed, over all vectors."""
        return sum(one.tokens for one in self.vectors)

    def summary(self) -> str:
        """One sentence a vector."""
        return "\n".join(one.summary() for one in self.vectors)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"vectors": [one.to_dict() for one in self.vectors]}

    def __repr__(self) -> str:
        return f"Receipt({self.summary()})"


def merged(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for several batches of the same interventions, in order."""
    whole = Receipt()
    if receipts:
        columns = zip(*(receipt.vectors for receipt in receipts), strict=True)
        whole.vectors = tuple(_sum(column) for column in columns)
    return whole


def _sum(parts: Sequence[VectorReceipt]) -> VectorReceipt:
    first, tokens = parts[0], sum(part.tokens for part in parts)
    # A dose is over the mean length of the states: the mean of all of them, not of the batches.
    lengths = sum(part.tokens / part.dose for part in parts if part.dose)
    return VectorReceipt(
        name=first.name,
        layer=first.layer,
        scope=first.scope,
        strength=first.strength,
        tokens=tokens,
        samples=sum(part.samples for part in parts),
        touched=sum(part.touched for part in parts),
        dose=tokens / lengths if lengths else 0.0,
        cosine=sum(part.cosine * part.tokens for part in parts) / tokens if tokens else 0.0,
        gate=first.gate,
        gate_open=tuple(flag for part in parts for flag in part.gate_open),
    )
