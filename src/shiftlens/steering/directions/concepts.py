"""From one concept to another, chosen by number, by word, or by picture."""

import torch

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.errors import GroundingError, SteeringError


def between_concepts(concepts: Concepts, source: int | str, target: int | str) -> SteeringVector:
    """From one concept to another: u_target - u_source.

    Args:
        concepts: centroids, whose differences lead from states to states.
        source: the concept to leave, by number, or by a word that it says; for a picture,
            ``concept_of_image(concepts, sample_id)`` gives the number.
        target: the concept to reach.

    Raises:
        GroundingError: no such concept.
        SteeringError: both are the same concept, or the concepts are directions.
    """
    if concepts.kind != "centroid":
        raise SteeringError(
            f"concepts of the kind {concepts.kind!r} are no states to lead from and to",
            allowed="concepts of the kind 'centroid', as KMeans learns them",
            remedy="steer with one of them by itself: SteeringVector(concepts.vectors[k], ...)",
        )
    i, j = concepts.find(source), concepts.find(target)
    if i == j:
        raise SteeringError(f"{source!r} and {target!r} are the same concept, number {i}")
    return SteeringVector(
        direction=(concepts.vectors[j] - concepts.vectors[i]).float(),
        site=concepts.site,
        name=f"concept {i} to concept {j}",
        kind="concept to concept",
        state_norm=_state_norm(concepts),
        provenance=dict(concepts.provenance),
    )


def concept_of_image(concepts: Concepts, sample_id: str) -> int:
    """The concept that a picture stands for: the one among whose most activating samples it is.

    Args:
        concepts: grounded, so that they know their pictures.
        sample_id: of the picture, as the report shows it.

    Returns:
        the concept's number, which ``between_concepts`` takes.

    Raises:
        GroundingError: the concepts have no pictures, none shows this one, or several do.
    """
    if not any(concepts.images):
        raise GroundingError(
            "these concepts know no pictures",
            remedy="ground them first: shiftlens.ground(concepts, store, ...)",
        )
    found = [index for index, ids in enumerate(concepts.images) if sample_id in ids]
    if len(found) == 1:
        return found[0]
    shown = "; ".join(f"{i}: {', '.join(ids[:2])}" for i, ids in enumerate(concepts.images))
    problem = f"concepts {found} all show" if found else "no concept shows"
    raise GroundingError(
        f"{problem} {sample_id!r}", allowed=shown, remedy="choose the concept by its number"
    )


def _state_norm(concepts: Concepts) -> float:
    """Mean length of the centroids, each as often as it has rows; the states' own is not kept."""
    sizes = torch.tensor(concepts.sizes, dtype=torch.float64).clamp_min(0)
    weights = sizes if float(sizes.sum()) > 0 else torch.ones_like(sizes)
    return float((concepts.vectors.double().norm(dim=1) * weights).sum() / weights.sum())
