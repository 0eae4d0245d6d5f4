"""Differences of means: between rows of one store, between stores, between models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore, paired
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import MismatchError, SteeringError
from shiftlens.steering.directions.choosing import (
    FEWEST,
    Choice,
    finite_rows,
    require_enough,
    sides_of,
)


def mean_difference(
    store: ActivationStore,
    *,
    source: Choice,
    target: Choice,
    layer: int | None = None,
    name: str = "mean difference",
) -> SteeringVector:
    """Mean state of the target rows minus mean state of the source rows.

    Take both at the states where the choice is made: the state that emits the answer, or the one
    that decides whether a phrase follows. Means over whole responses do not steer.

    Args:
        store: states at the site of the choice.
        source: which rows to move away from; a predicate (see ``answers``, ``labelled``,
            ``saying``) or one boolean a row.
        target: which rows to move towards.
        layer: which of the store's layers; may be left out when there is one.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows on a side, a row on both, or states that are not finite.
    """
    before, after = (
        _mean_state(side, layer, name) for side in sides_of(store, source, target, name)
    )
    rows = {"source": before.n, "target": after.n}
    return made(
        store,
        layer,
        after.mean - before.mean,
        before.with_norm_of(after),
        name,
        "mean difference",
        {"rows": rows},
    )


def between_stores(
    source: ActivationStore,
    target: ActivationStore,
    *,
    layer: int | None = None,
    name: str = "mean difference of two stores",
) -> SteeringVector:
    """Mean state of one store minus that of another: two data sets, or two prompts on one of them.

    Samples of one id and one picture are paired where both stores share most of theirs: two prompts
    on one set of pictures then differ by the prompt alone, whatever was lost on either side.
    Otherwise all rows of both are taken. ``provenance["rows"]["paired"]`` says which it was.

    Args:
        source: states to move away from.
        target: states to move towards, of the same model at the same site.
        layer: which of the stores' layers; may be left out when there is one.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows in a store, or states that are not finite.
        MismatchError: two models, two layers, or two selections of tokens.
    """
    a, b, together = sides_of_stores(source, target, layer, name)
    before, after = _mean_state(a, layer, name), _mean_state(b, layer, name)
    about = {
        "rows": {"source": before.n, "target": after.n, "paired": int(together)},
        "target": origin(target),
    }
    direction = after.mean - before.mean
    norm = before.with_norm_of(after)
    return made(source, layer, direction, norm, name, "mean difference", about)


def mean_shift(
    base: ActivationStore,
    tuned: ActivationStore,
    *,
    layer: int | None = None,
    name: str = "mean shift",
) -> SteeringVector:
    """Mean change of the same samples' states from the base to the tuned model.

    Added to the base model it imitates the fine-tuning, subtracted from the tuned one it undoes it;
    give stores on the same text, so that the weights are imitated and not the words. The change of
    one concept's samples alone is ``shift["dog"].vector`` of a ``ConceptShift``, and
    ``-shift["dog"].vector`` undoes it.

    Raises:
        SteeringError: fewer than 5 samples in common, or states that are not finite.
        MismatchError: none in common, two layers, or two selections of tokens.
    """
    _require_same_site(base, tuned, layer)
    a, b = paired(base, tuned)
    if len(a) < FEWEST:
        raise SteeringError(f"{name}: only {len(a)} samples in common", allowed="at least 5")
    before, after = _mean_state(a, layer, name), _mean_state(b, layer, name)
    about = {"rows": {"rows": before.n}, "tuned": origin(tuned)}
    return made(a, layer, after.mean - before.mean, before.state_norm, name, "mean shift", about)


@dataclass(frozen=True, eq=False)
class _MeanState:
    """Mean of a store's rows and of their lengths, summed shard by shard in float64."""

    n: int
    mean: Float[Tensor, " d"]
    state_norm: float

    def with_norm_of(self, other: "_MeanState") -> float:
        """Mean length of the rows of both."""
        total = self.n * self.state_norm + other.n * other.state_norm
        return total / (self.n + other.n)


def _mean_state(store: ActivationStore, layer: int | None, name: str) -> _MeanState:
    n, total, lengths = 0, torch.zeros(()), 0.0
    for _, states in store.shards(layer):
        rows = finite_rows(states, name)
        n, total = n + len(rows), total + rows.sum(dim=0)
        lengths += float(rows.norm(dim=1).sum())
    return _MeanState(n, total / n, lengths / n)


def sides_of_stores(
    source: ActivationStore, target: ActivationStore, layer: int | None, name: str
) -> tuple[ActivationStore, ActivationStore, bool]:
    """The rows of two stores to compare, and whether they are paired; see ``between_stores``.

    Raises:
        SteeringError: fewer than 5 rows on a side.
        MismatchError: two models, two layers, or two selections of tokens.
    """
    if source.provenance.get("model") != target.provenance.get("model"):
        raise MismatchError(
            f"{source.path} and {target.path} come from different models",
            allowed="two data sets, or two prompts, of one model",
            remedy="use mean_shift for a base and its fine-tune",
        )
    _require_same_site(source, target, layer)
    mine, theirs = set(source.sample_ids), set(target.sample_ids)
    together = 2 * len(mine & theirs) > min(len(mine), len(theirs))
    a, b = paired(source, target) if together else (source, target)
    if any(one.image != other.image for one, other in zip(a.rows, b.rows, strict=False)):
        a, b, together = source, target, False  # the ids agree by chance: numbers of rows, say
    for label, side in (("source", a), ("target", b)):
        require_enough(name, label, len(side), len(side))
    return a, b, together


def _require_same_site(source: ActivationStore, target: ActivationStore, layer: int | None) -> None:
    here, there = source.site_at(layer), target.site_at(layer)
    if here.describe() != there.describe():
        raise MismatchError(
            f"{source.path} holds states at {here}, {target.path} at {there}",
            allowed="two stores of one site",
            remedy="harvest both at the same layer and tokens; tokens.word takes several words",
        )


def origin(store: ActivationStore) -> dict[str, Any]:
    """Where the second store of a vector came from, as JSON."""
    return {**store.provenance, "store": store.fingerprint}


def made(
    store: ActivationStore,
    layer: int | None,
    direction: Tensor,
    state_norm: float,
    name: str,
    kind: str,
    about: Mapping[str, Any],
) -> SteeringVector:
    """A vector with where it came from: its store, and ``about`` its rows."""
    return SteeringVector(
        direction=direction.float(),
        site=store.site_at(layer),
        name=name,
        kind=kind,
        state_norm=state_norm,
        provenance={**store.provenance, "store": store.fingerprint, **about},
    )


def along(unit: Tensor, gap: Tensor, name: str) -> Tensor:
    """A direction of length 1, turned from source to target and as long as their means lie apart.

    Args:
        unit: (d,), of length 1.
        gap: (d,) mean of the target less mean of the source.
        name: of the vector, for the error.

    Raises:
        SteeringError: the means agree along it, so that it has neither sign nor length.
    """
    length = float(gap @ unit)
    if abs(length) <= 1e-6 * float(gap.norm()):
        raise SteeringError(
            f"{name}: source and target rows have the same mean along this direction",
            allowed="a direction along which the means lie apart, which gives it sign and length",
            remedy="take the mean difference, or do not centre the differences",
        )
    return unit * length
