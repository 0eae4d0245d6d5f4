"""Where steering vectors come from (Khayatan et al. 2025, section 3.4)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, Row, paired
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import SteeringError

Choice = Callable[[Row], bool] | Sequence[bool]

_FEWEST = 5


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
        source: which rows to move away from; a predicate or one boolean a row.
        target: which rows to move towards.
        layer: which of the store's layers; may be left out when there is one.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows on a side, or a row on both.
    """
    chosen = [_flags(store, choice) for choice in (source, target)]
    sides = [store.where(flags) for flags in chosen]
    for label, side in zip(("source", "target"), sides, strict=True):
        if len(side) < _FEWEST:
            raise SteeringError(
                f"{name}: only {len(side)} of {len(store)} rows are {label}",
                allowed=f"at least {_FEWEST} on each side",
                remedy="harvest more samples, or widen the choice",
            )
    both = sum(one and other for one, other in zip(*chosen, strict=True))
    if both:
        raise SteeringError(f"{name}: {both} rows are source and target at once")
    means = [_mean(side.states(layer)) for side in sides]
    states = torch.cat([side.states(layer).float() for side in sides])
    counts = {"source": len(sides[0]), "target": len(sides[1])}
    return _vector(store, layer, means[1] - means[0], states, name, "mean difference", counts)


def mean_shift(
    base: ActivationStore,
    tuned: ActivationStore,
    *,
    layer: int | None = None,
    name: str = "mean shift",
) -> SteeringVector:
    """Mean change of the same samples' states from the base to the tuned model.

    Added to the base model it imitates the fine-tuning; give stores on the same text, so that the
    weights are imitated and not the words.

    Raises:
        SteeringError: fewer than 5 samples in common.
        MismatchError: none in common.
    """
    a, b = paired(base, tuned)
    if len(a) < _FEWEST:
        raise SteeringError(f"{name}: only {len(a)} samples in common", allowed="at least 5")
    before = a.states(layer).float()
    delta = _mean(b.states(layer).float() - before)
    return _vector(a, layer, delta, before, name, "mean shift", {"rows": len(a)})


def between_concepts(concepts: Concepts, source: int | str, target: int | str) -> SteeringVector:
    """From one concept to another: u_target - u_source, both by index or by a word they say.

    Raises:
        GroundingError: no such concept.
        SteeringError: both are the same concept.
    """
    i, j = concepts.find(source), concepts.find(target)
    if i == j:
        raise SteeringError(f"{source!r} and {target!r} are the same concept, number {i}")
    return SteeringVector(
        direction=(concepts.vectors[j] - concepts.vectors[i]).float(),
        site=concepts.site,
        name=f"concept {i} to concept {j}",
        kind="concept to concept",
        state_norm=float(concepts.vectors.norm(dim=1).mean()),
        provenance=dict(concepts.provenance),
    )


def random_like(vector: SteeringVector, seed: int = 0) -> SteeringVector:
    """A random direction at the same site and of the same length: the control of every steering."""
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(len(vector.direction)))
    direction = torch.nn.functional.normalize(noise, dim=0).float() * vector.norm
    return SteeringVector(
        direction=direction.to(vector.direction.device),
        site=vector.site,
        name=f"random direction as long as {vector.name}",
        kind="random",
        state_norm=vector.state_norm,
        provenance={**vector.provenance, "seed": seed},
    )


def _flags(store: ActivationStore, choice: Choice) -> list[bool]:
    return [bool(choice(row)) for row in store.rows] if callable(choice) else list(choice)


def _mean(states: Tensor) -> Tensor:
    return states.double().mean(dim=0)


def _vector(
    store: ActivationStore,
    layer: int | None,
    direction: Tensor,
    states: Tensor,
    name: str,
    kind: str,
    counts: dict[str, int],
) -> SteeringVector:
    site: Site = store.site_at(layer)
    return SteeringVector(
        direction=direction.float(),
        site=site,
        name=name,
        kind=kind,
        state_norm=float(states.norm(dim=1).mean()),
        provenance={**store.provenance, "store": store.fingerprint, "rows": counts},
    )
