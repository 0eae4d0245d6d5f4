"""The clipped affine switch: what is like the source becomes like the target, the rest stays."""

from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import SteeringError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.covariance import Covariance, roots, shrinkage_for
from shiftlens.steering.directions.choosing import FEWEST, Choice, flags_of, sides_of

VARIANTS = ("midsteer", "leace")


def switch(
    store: ActivationStore,
    *,
    source: Choice,
    target: Choice,
    neutral: Choice | None = None,
    layer: int | None = None,
    shrinkage: float | None = None,
    variant: str = "midsteer",
    name: str = "switch",
) -> AffineEdit:
    """A map that moves the source's mean to the target's and leaves the neutral mean where it is.

    h' = h - strength * relu(r . (h - mu)) (s - t), with s, t and mu the means of source, target and
    neutral rows. The reading r is taken in the space where neutral states have the identity as
    covariance, and is 1 at s, 0 at mu: a state is moved by as much of the source as it holds, and
    one on the other side is left alone (MidSteer, arXiv 2605.05220). Unlike addition it does
    nothing to what has nothing of the source. A target that resembles the source is read, and
    moved on, too.

    Args:
        store: states at the positions where the edit will be applied.
        source: which rows to move away from.
        target: which rows to move towards.
        neutral: which rows tell what states are like otherwise; all others by default.
        layer: which of the store's layers; may be left out when there is one.
        shrinkage: share, in [0, 1], by which the neutral covariance is drawn towards a sphere; by
            default as far as the number of rows asks for.
        variant: what is read: the source less the neutral mean (``midsteer``), or the source less
            the target (``leace``, the paper's LEACE-Switch), which leaves alone what both share.
            The second reads source and target 1 apart, so that the source arrives at strength 1
            only where the target reads 0, and at 2 where the neutral mean lies half way.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows of a kind, a row that is source and target, an unknown
            variant, states that are not finite, or a source that cannot be told from the neutral
            states or the target.
    """
    if variant not in VARIANTS:
        raise SteeringError(f"unknown variant {variant!r}", allowed=", ".join(VARIANTS))
    sides = sides_of(store, source, target, name)
    plain = _neutral(store, source, target, neutral)
    s, t, whole = (_covariance(rows, layer) for rows in (*sides, plain))
    share = shrinkage_for(whole.matrix, whole.n) if shrinkage is None else shrinkage
    moved = s.mean - t.mean
    if float(moved.norm()) <= 1e-9 * whole.state_norm:
        raise SteeringError("source and target have the same mean: there is nowhere to move")
    told = s.mean - whole.mean if variant == "midsteer" else moved
    reading = _reading(told, whole.matrix, share)
    rows = {"source": s.n, "target": t.n, "neutral": whole.n}
    return AffineEdit(
        left=moved.float()[:, None],
        right=reading.float()[None],
        mean=whole.mean.float(),
        clipped=True,
        site=store.site_at(layer),
        name=name,
        kind="affine switch",
        state_norm=sum(one.lengths for one in (s, t, whole)) / sum(rows.values()),
        provenance={
            **store.provenance,
            "store": store.fingerprint,
            "rows": rows,
            "variant": variant,
            "shrinkage": share,
        },
    )


def _reading(told: Tensor, covariance: Tensor, share: float) -> Tensor:
    """(d,) what reads 1 along ``told`` and least of how neutral states scatter."""
    whiten = roots(covariance, share)[1]
    read = whiten @ told
    length = float(read @ read)
    if length <= 1e-12:
        raise SteeringError("the source rows cannot be told from the neutral ones")
    return (whiten @ read) / length


def _neutral(
    store: ActivationStore, source: Choice, target: Choice, neutral: Choice | None
) -> ActivationStore:
    """The rows that tell what states are like otherwise."""
    if neutral is None:
        pairs = zip(flags_of(store, source), flags_of(store, target), strict=True)
        flags = [not (a or b) for a, b in pairs]
    else:
        flags = flags_of(store, neutral)
    if sum(flags) < FEWEST:
        raise SteeringError(
            f"only {sum(flags)} of {len(store)} rows are neutral",
            allowed=f"at least {FEWEST}",
            remedy="harvest other samples too, or name the neutral rows: neutral=lambda row: True",
        )
    return store.where(flags)


def _covariance(store: ActivationStore, layer: int | None) -> Covariance:
    """Of all rows, shard by shard."""
    whole: Covariance | None = None
    for _, states in store.shards(layer):
        whole = whole or Covariance(states.shape[1])
        whole.update(states)
    assert whole is not None  # fewer than 5 rows were refused
    return whole
