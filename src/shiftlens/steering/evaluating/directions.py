"""Every way of making a direction from the same rows, as arms of one table."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.arms import Arm
from shiftlens.steering.directions import mean_difference, principal_direction, probe_direction
from shiftlens.steering.directions.choosing import Choice, flags_of
from shiftlens.steering.gates import Gate
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.leace import erase
from shiftlens.steering.operators import Ablate, AddKeepingNorm, MoveTo, Operator
from shiftlens.steering.scopes import Scope
from shiftlens.steering.switching import switch

Vector = SteeringVector | AffineEdit

WAYS = (
    *("mean difference", "keeping the norm", "ablated", "moved to the target"),
    *("principal", "centred principal", "logistic probe", "LEACE", "affine switch"),
)
"""The four operators on the mean difference, then the other directions and maps."""


def direction_arms(
    store: ActivationStore,
    *,
    source: Choice,
    target: Choice,
    layer: int | None = None,
    strength: float = 1.0,
    scope: str | Scope = "response",
    gate: Gate | None = None,
    ways: Collection[str] = WAYS,
) -> list[Arm]:
    """Mean difference by four operators, principal direction, probe, LEACE and the affine switch.

    All are fitted on the same rows at the same layer, and applied with the same strength, scope and
    gate: what is left to differ is the direction and what is done with it.

    Args:
        store: states where the choice is made; rows that are neither are neutral for the switch.
        source: which rows to move away from.
        target: which rows to move towards.
        layer: which of the store's layers; may be left out when there is one.
        strength: of all of them.
        scope: of all of them.
        gate: of all of them.
        ways: which of ``WAYS``.

    Raises:
        SteeringError: an unknown way, or one that cannot be fitted: too few rows, a row on both
            sides, no neutral rows for the switch.
    """
    unknown = sorted(set(ways) - set(WAYS))
    if unknown or not ways:
        raise SteeringError(
            f"no direction is made by {unknown[0]!r}" if unknown else "no way to make a direction",
            allowed=", ".join(WAYS),
        )
    sides: dict[str, Any] = {"source": source, "target": target, "layer": layer}
    mean = mean_difference(store, **sides)  # says what is wrong with the rows
    flags = [flags_of(store, choice) for choice in (source, target)]
    either = [a or b for a, b in zip(*flags, strict=True)]
    classes = [flag for flag, kept in zip(flags[0], either, strict=True) if kept]
    reached = MoveTo.mean_of(store.where(flags[1]), mean)
    made: dict[str, tuple[Callable[[], Vector], Operator | None]] = {
        "mean difference": (lambda: mean, None),
        "keeping the norm": (lambda: mean, AddKeepingNorm()),
        "ablated": (lambda: mean, Ablate()),
        "moved to the target": (lambda: mean, reached),
        "principal": (partial(principal_direction, store, **sides), None),
        "centred principal": (partial(principal_direction, store, centred=True, **sides), None),
        "logistic probe": (partial(probe_direction, store, **sides), None),
        "LEACE": (partial(erase, store.where(either), classes, layer=layer), None),
        "affine switch": (partial(switch, store, **sides), None),
    }
    return [
        Arm(name, (Intervention(made[name][0](), strength, scope, gate, made[name][1]),))
        for name in WAYS
        if name in ways
    ]
