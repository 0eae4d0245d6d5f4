"""The principal direction of differences, with and without the trap of centring them."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore, Row
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError
from shiftlens.steering.directions.choosing import (
    Choice,
    finite_rows,
    require_enough,
    sides_of,
)
from shiftlens.steering.directions.means import along, made, origin, sides_of_stores

Key = Callable[[Row], Hashable]
"""What a source row and a target row have in common that belong together."""


def principal_direction(
    store: ActivationStore,
    *,
    source: Choice,
    target: Choice,
    centred: bool = False,
    pairs: Key | None = None,
    layer: int | None = None,
    name: str = "principal direction",
) -> SteeringVector:
    """First principal direction of the differences of target rows from source rows.

    The trap: a principal component analysis that *centres* the differences takes away their mean,
    which is exactly what target and source differ by; what is left is the direction in which the
    differences disagree. Where all differences point the same way, the centred component is close
    to orthogonal to their mean, the uncentred one nearly parallel: .02 and .9997 in the cosine, in
    a check with 256 entries. So the raw second moment is the default; ``centred=True`` is for
    looking at the disagreement, and for comparing with tools that centre. Where single states
    scatter further along one direction than the means lie apart, the uncentred component misses the
    means too: compare it with ``mean_difference`` by ``vector.cosine(other)``.

    Args:
        store: states at the site of the choice.
        source: which rows to move away from.
        target: which rows to move towards.
        centred: take the mean off the differences first.
        pairs: what a source row and a target row have in common that belong together, as
            ``lambda row: row.image``; without it every target row is compared with every source
            row.
        layer: which of the store's layers; may be left out when there is one.
        name: for people.

    Returns:
        a vector that points from source to target, as long as the means lie apart along it, so that
        strength 1 moves by their difference along it. ``provenance["explained"]`` is its share of
        the differences' second moment.

    Raises:
        SteeringError: fewer than 5 rows (or pairs) on a side, a row on both, two rows of a side
            with one key, states that are not finite, or means that agree along the direction.
    """
    sides = sides_of(store, source, target, name)
    if pairs is not None:
        sides = _paired_by(*sides, pairs, name)
    return _principal(store, sides, centred, pairs is not None, layer, name, {})


def principal_between_stores(
    source: ActivationStore,
    target: ActivationStore,
    *,
    centred: bool = False,
    layer: int | None = None,
    name: str = "principal direction of two stores",
) -> SteeringVector:
    """The same between two stores, paired by sample as ``between_stores`` pairs them.

    Raises:
        SteeringError: fewer than 5 rows on a side, states that are not finite, or means that agree
            along the direction.
        MismatchError: two models, two layers, or two selections of tokens.
    """
    a, b, together = sides_of_stores(source, target, layer, name)
    return _principal(source, (a, b), centred, together, layer, name, {"target": origin(target)})


def _principal(
    store: ActivationStore,
    sides: tuple[ActivationStore, ActivationStore],
    centred: bool,
    together: bool,
    layer: int | None,
    name: str,
    about: Mapping[str, Any],
) -> SteeringVector:
    before, after = (finite_rows(side.states(layer), name) for side in sides)
    gap = after.mean(dim=0) - before.mean(dim=0)
    rows = _paired_rows(before, after) if together else _crossed_rows(before, after)
    if not centred:
        rows = torch.cat([rows, gap[None]])
    strengths, basis = torch.linalg.svd(rows, full_matrices=False)[1:]
    if float(strengths[0]) == 0:
        raise SteeringError(f"{name}: the differences do not vary")
    norm = float(torch.cat([before, after]).norm(dim=1).mean())
    kind = "principal direction, centred" if centred else "principal direction"
    found = {
        "rows": {"source": len(before), "target": len(after), "paired": int(together)},
        "centred": centred,
        "explained": float(strengths[0].square() / strengths.square().sum()),
    }
    direction = along(basis[0], gap, name)
    return made(store, layer, direction, norm, name, kind, {**found, **about})


def _paired_rows(before: Tensor, after: Tensor) -> Tensor:
    """Rows whose second moment is that of the paired differences less their mean."""
    differences = after - before
    return (differences - differences.mean(dim=0)) / len(before) ** 0.5


def _crossed_rows(before: Tensor, after: Tensor) -> Tensor:
    """Rows whose second moment is that of all n m differences less their mean.

    Over all pairs the covariance of the differences is the sum of both covariances: the n m
    differences need not be written down.
    """
    return torch.cat([(side - side.mean(dim=0)) / len(side) ** 0.5 for side in (before, after)])


def _paired_by(
    source: ActivationStore, target: ActivationStore, key: Key, name: str
) -> tuple[ActivationStore, ActivationStore]:
    """Views of the rows of both sides that have a partner, in one order."""
    mine, theirs = (_places(side, key, name) for side in (source, target))
    both = [one for one in mine if one in theirs]
    require_enough(name, "paired", len(both), min(len(source), len(target)))
    return source.at_rows([mine[k] for k in both]), target.at_rows([theirs[k] for k in both])


def _places(side: ActivationStore, key: Key, name: str) -> dict[Hashable, int]:
    places: dict[Hashable, int] = {}
    for index, row in enumerate(side.rows):
        if (found := key(row)) in places:
            raise SteeringError(
                f"{name}: two rows of one side have the key {found!r}",
                allowed="one source row and one target row a key",
            )
        places[found] = index
    return places
