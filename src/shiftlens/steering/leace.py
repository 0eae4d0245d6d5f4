"""LEACE: take away all that a linear reader could tell classes apart by, and little more."""

import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import SteeringError
from shiftlens.steering.affine import AffineEdit
from shiftlens.steering.covariance import Classes, Labels, classes_of, roots, shrinkage_for
from shiftlens.steering.directions.choosing import FEWEST

_ROUNDING = 1e-9
"""Correlations of states with classes below this are rounding in float64."""


def erase(
    store: ActivationStore,
    labels: Labels,
    *,
    layer: int | None = None,
    shrinkage: float | None = None,
    name: str = "",
) -> AffineEdit:
    """The affine map that erases classes linearly and changes states least (LEACE).

    x' = x - W^+ P W (x - mu), with W the pseudo-inverse square root of the covariance and P the
    projector onto the columns of W Sigma_xz (Belrose et al. 2023, theorem 4.3). On the rows it was
    fitted on all classes have one mean afterwards, so that no linear probe beats chance there. On
    other rows a trace stays, the less the more rows there were: take many times as many rows of
    each class as classes are many. Fitted in one pass over the store's shards, in float64.

    Args:
        store: states at the positions where the edit will be applied.
        labels: for each row its class: a function of the row, or one value a row.
        layer: which of the store's layers; may be left out when there is one.
        shrinkage: share, in [0, 1], by which the covariance is drawn towards a sphere; by default
            as far as the number of rows asks for. The rows it was fitted on are erased exactly all
            the same. Without any (0) and with about as many rows as entries, the map follows noise
            and changes other states by many times what is needed.
        name: for people.

    Raises:
        SteeringError: fewer than 5 rows of a class, fewer than two classes, a label that is no
            class, states that are not finite, or classes with equal means, which leave nothing to
            erase.
    """
    classes = classes_of(store, labels, layer)
    _require_classes(classes)
    covariance = classes.whole.matrix
    share = shrinkage_for(covariance, classes.whole.n) if shrinkage is None else shrinkage
    root, whiten = roots(covariance, share)
    chosen = _told_by(whiten @ classes.cross)
    counts = {str(c): n for c, n in zip(classes.names, classes.counts, strict=True)}
    return AffineEdit(
        left=(root @ chosen).float(),
        right=(chosen.T @ whiten).float(),
        mean=classes.whole.mean.float(),
        clipped=False,
        site=store.site_at(layer),
        name=name or f"erase {', '.join(counts)}",
        kind="LEACE",
        state_norm=classes.whole.state_norm,
        provenance={
            **store.provenance,
            "store": store.fingerprint,
            "rows": counts,
            "shrinkage": share,
        },
    )


def _require_classes(classes: Classes) -> None:
    if len(classes.names) < 2:
        only = ", ".join(map(str, classes.names))
        raise SteeringError(
            f"every row is of the class {only}: there is nothing to erase",
            allowed="two classes or more",
        )
    few = [str(c) for c, n in zip(classes.names, classes.counts, strict=True) if n < FEWEST]
    if few:
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        raise SteeringError(
            f"fewer than {FEWEST} rows of {', '.join(few[:5])}{more}",
            remedy="harvest more samples, or put classes together",
        )


def _told_by(cross: Tensor) -> Tensor:
    """(d, r) orthonormal directions of whitened space along which classes differ."""
    basis, strengths, _ = torch.linalg.svd(cross, full_matrices=False)
    # The classes' columns sum to zero: one of them is always free. What is left of it is rounding.
    kept = strengths > _ROUNDING * max(1.0, float(strengths.max()))
    if not bool(kept.any()):
        raise SteeringError("all classes have the same mean: there is nothing to erase")
    return basis[:, kept]
