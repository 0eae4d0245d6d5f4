"""Most activating images of a concept."""

import torch

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts, WordLists


def top_images(
    concepts: Concepts, store: ActivationStore, *, n: int = 5, layer: int | None = None
) -> WordLists:
    """Ids of the n samples that activate each concept most, no image twice.

    For centroids these are the nearest of the concept's own rows, for directions the rows with the
    largest codes.

    Args:
        concepts: of the store's site.
        store: where the samples' states are.
        n: how many a concept; fewer where a concept has fewer.
        layer: which of the store's layers; may be left out when there is one.
    """
    acts, rows = store.states(layer).float(), store.rows
    if concepts.kind == "centroid":
        distances, mine = concepts.distances(acts), concepts.assign(acts)
        own = torch.nn.functional.one_hot(mine, concepts.k).bool()
        scores = torch.where(own, -distances, -torch.inf)
    else:
        scores = concepts.encode(acts)
    found: list[tuple[str, ...]] = []
    for k in range(concepts.k):
        kept: dict[str, str] = {}
        for index in scores[:, k].argsort(descending=True).tolist():
            if len(kept) == n or scores[index, k] == -torch.inf:
                break
            kept.setdefault(rows[index].image or rows[index].sample_id, rows[index].sample_id)
        found.append(tuple(kept.values()))
    return tuple(found)
