"""``Receipt``: where an intervention fired, on how much, and how strongly."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftlens.core.errors import SteeringError


@dataclass(frozen=True)
class Touched:
    """What was changed in one sample.

    Attributes:
        sample: its number, in the order seen.
        tokens: how many positions were changed.
        first: the first of them; 0 is the last prompt position, 1 that of the first response token
            once it has been read, -1 the one before the last of the prompt.
        last: the last of them.
    """

    sample: int
    tokens: int
    first: int
    last: int


@dataclass(frozen=True)
class VectorReceipt:
    """What one vector did after one block.

    Attributes:
        name: of the vector.
        layer: the block after which it was applied.
        scope: which positions.
        strength: how much of it.
        operator: what was done with it.
        selected: how many positions the scope held, whatever the gate said.
        tokens: how many positions were changed; one that is computed again counts once.
        samples: how many samples were seen, each beam and each of several answers to a prompt for
            itself; ``touched`` in how many of them it fired.
        dose: mean length of the change over the mean length of the states it changed.
        state_norm: mean length of those states before the change.
        cosine: mean cosine of the vector with those states before the change; for an affine edit
            that of the change itself.
        gate: what the gate was, or ``None``.
        gate_open: for each sample in the order seen whether the gate was ever open; empty without a
            gate.
        gate_steps: for a gate that decides at every step, the positions at which it was open,
            counted as in ``Touched``; empty otherwise.
        places: which positions of which samples were changed.
    """

    name: str
    layer: int
    scope: str
    strength: float
    operator: str
    selected: int
    tokens: int
    samples: int
    touched: int
    dose: float
    cosine: float
    gate: Mapping[str, Any] | None
    gate_open: tuple[bool, ...]
    gate_steps: tuple[tuple[int, ...], ...] = ()
    places: tuple[Touched, ...] = ()
    state_norm: float = 0.0

    def summary(self) -> str:
        """One sentence."""
        where = f"after block {self.layer}, positions: {self.scope}"
        if self.strength == 0:
            return f"{self.name}: strength 0, nothing changed ({where})"
        gate = f", gate open for {sum(self.gate_open)}" if self.gate is not None else ""
        how = "" if self.operator == "add" else f"{self.operator}, "
        return (
            f"{self.name}: {self.tokens} tokens in {self.touched} of {self.samples} samples{gate}; "
            f"{how}strength {self.strength:g}, dose {self.dose:.2f}, cosine {self.cosine:+.2f} "
            f"({where})"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "name": self.name,
            "layer": self.layer,
            "scope": self.scope,
            "strength": self.strength,
            "operator": self.operator,
            "selected": self.selected,
            "tokens": self.tokens,
            "samples": self.samples,
            "touched": self.touched,
            "dose": self.dose,
            "state_norm": self.state_norm,
            "cosine": self.cosine,
            "gate": dict(self.gate) if self.gate is not None else None,
            "gate_open": list(self.gate_open),
            "gate_steps": [list(steps) for steps in self.gate_steps],
            "places": [[one.sample, one.tokens, one.first, one.last] for one in self.places],
        }


class Receipt:
    """What a steering context did so far; complete once the context is left.

    Attributes:
        vectors: one a vector and block.
        conflicts: sentences about vectors at one block that work against or upon each other.
        first_token_kl: for each sample the divergence, in nats, of the steered from the unsteered
            distribution of the first response token; ``None`` where it was not asked for.
    """

    def __init__(self) -> None:
        self.vectors: tuple[VectorReceipt, ...] = ()
        self.conflicts: tuple[str, ...] = ()
        self.first_token_kl: tuple[float, ...] | None = None

    @property
    def tokens(self) -> int:
        """Positions changed, over all vectors."""
        return sum(one.tokens for one in self.vectors)

    def summary(self) -> str:
        """One sentence a vector, then conflicts and the change of the first token."""
        lines = [one.summary() for one in self.vectors]
        lines += [f"note: {one}" for one in self.conflicts]
        if self.first_token_kl:
            mean = sum(self.first_token_kl) / len(self.first_token_kl)
            lines.append(
                f"first token: {mean:.3f} nats from the unsteered one on average, at most "
                f"{max(self.first_token_kl):.3f}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        kl = self.first_token_kl
        return {
            "vectors": [one.to_dict() for one in self.vectors],
            "conflicts": list(self.conflicts),
            "first_token_kl": None if kl is None else list(kl),
        }

    def __repr__(self) -> str:
        return f"Receipt({self.summary()})"


def require_effect(receipt: Receipt) -> None:
    """Refuse steering in which nothing ran, or whose scope was empty; a closed gate is a result.

    Raises:
        SteeringError: nothing was generated, a vector had no position to act on, or states were
            no numbers afterwards.
    """
    for one in receipt.vectors:
        if one.samples == 0:
            raise SteeringError(
                "nothing was generated inside the steering context",
                remedy="call model.generate or model.respond inside it",
            )
        if one.strength != 0 and one.selected == 0:
            raise SteeringError(
                f"the scope '{one.scope}' selected no position: {one.name} did nothing",
                remedy="generate more than one token, or choose another scope",
            )
        if not math.isfinite(one.dose):
            raise SteeringError(
                f"{one.name} at strength {one.strength:g} leaves states that are no finite numbers",
                remedy="steer less strongly, or load the model in a wider type",
            )


def merged(receipts: Sequence[Receipt]) -> Receipt:
    """One receipt for several batches of the same interventions, in order."""
    whole = Receipt()
    if receipts:
        columns = zip(*(receipt.vectors for receipt in receipts), strict=True)
        whole.vectors = tuple(_sum(column) for column in columns)
        whole.conflicts = receipts[0].conflicts
        parts = [one.first_token_kl for one in receipts]
        if all(part is not None for part in parts):
            whole.first_token_kl = tuple(kl for part in parts for kl in part or ())
    return whole


def _sum(parts: Sequence[VectorReceipt]) -> VectorReceipt:
    tokens = sum(part.tokens for part in parts)
    # A dose is over the mean length of the states: the mean of all of them, not of the batches.
    lengths = sum(part.tokens * part.state_norm for part in parts)
    changes = sum(part.tokens * part.state_norm * part.dose for part in parts)
    places: list[Touched] = []
    seen = 0
    for part in parts:
        places += [replace(one, sample=one.sample + seen) for one in part.places]
        seen += part.samples
    return replace(
        parts[0],
        selected=sum(part.selected for part in parts),
        tokens=tokens,
        samples=seen,
        touched=sum(part.touched for part in parts),
        dose=changes / lengths if lengths else 0.0,
        state_norm=lengths / tokens if tokens else 0.0,
        cosine=sum(part.cosine * part.tokens for part in parts) / tokens if tokens else 0.0,
        gate_open=tuple(flag for part in parts for flag in part.gate_open),
        gate_steps=tuple(steps for part in parts for steps in part.gate_steps),
        places=tuple(places),
    )
