"""Vectors at one block that work against or upon each other: reported, not forbidden."""

from collections.abc import Sequence
from itertools import combinations

import torch

from shiftlens.concepts.vectors import SteeringVector
from shiftlens.models.model import Model
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.operators import Ablate, Add, AddKeepingNorm, MoveTo

_ALIKE = 0.5  # cosine from which two vectors are said to be about the same thing


def conflicts(model: Model, interventions: Sequence[Intervention]) -> tuple[str, ...]:
    """One sentence for each pair of vectors at one block that get in each other's way.

    Args:
        model: who is steered.
        interventions: in the order in which they act.
    """
    found: list[str] = []
    for one, other in combinations(interventions, 2):
        if one.strength == 0 or other.strength == 0 or one.tower != other.tower:
            continue
        shared = set(one.resolve_layers(model)) & set(other.resolve_layers(model))
        if shared:
            said = _pair(one, other)
            if said:
                found.append(f"{said}, after block {', '.join(map(str, sorted(shared)))}")
    return tuple(found)


def _pair(one: Intervention, other: Intervention) -> str:
    first, second = one.vector, other.vector
    if not isinstance(first, SteeringVector) or not isinstance(second, SteeringVector):
        return (
            f"{first.name!r} acts before {second.name!r}, and one of them is an affine edit: "
            "what the second is applied to is not what it was fitted on"
        )
    cosine = float(torch.cosine_similarity(first.direction, second.direction, dim=0))
    adds = (Add, AddKeepingNorm)
    kinds = (one.operator or Add(), other.operator or Add())
    if isinstance(kinds[0], adds) and isinstance(kinds[1], adds):
        signed = cosine * (1 if one.strength * other.strength > 0 else -1)
        if signed < -_ALIKE:
            return f"{first.name!r} and {second.name!r} pull against each other ({signed:+.2f})"
        if signed > _ALIKE:
            return f"{first.name!r} and {second.name!r} add up ({signed:+.2f}): mind the strength"
        return ""
    if abs(cosine) > _ALIKE and all(isinstance(kind, Ablate) for kind in kinds):
        return f"{second.name!r} takes away again what {first.name!r} took away ({cosine:+.2f})"
    if abs(cosine) > _ALIKE and isinstance(kinds[1], Ablate | MoveTo):
        return (
            f"{second.name!r} ({kinds[1].name}) undoes most of what {first.name!r} did "
            f"({cosine:+.2f})"
        )
    if abs(cosine) > _ALIKE:
        return f"{second.name!r} puts back part of what {first.name!r} took away ({cosine:+.2f})"
    return ""
