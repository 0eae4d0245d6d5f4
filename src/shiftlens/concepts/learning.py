"""``learn``: from a store of states to frozen concepts."""

import warnings
from pathlib import Path

import torch

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.given import learner_given, store_given
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.progress import Progress


class DominantDimensions(UserWarning):
    """A few dimensions carry most of the variance, and with it the distances between states."""


def learn(
    store: ActivationStore | str | Path,
    learner: ConceptLearner,
    *,
    layer: int | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Concepts:
    """Learn concepts from the states of one layer of a store.

    The states are read shard by shard, as often as the learner needs them.

    Args:
        store: harvested states, or the path of their directory.
        learner: for example ``KMeans(k=20, seed=0)``.
        layer: which of the store's layers; may be left out when there is one.
        device: where to compute; the CPU by default.
        progress: who is told; a step is a pass over the states.

    Returns:
        concepts without words and images; ``ground`` adds them.

    Raises:
        LearnError: more concepts than rows, states that are not finite, or no store or learner.
        SiteError: the store does not hold that layer.
        StoreError: no finished store lies at the path.

    Warns:
        DominantDimensions: see there; ``space="standard"`` is the remedy, ``"white"`` where
            dimensions are also correlated.
    """
    store, learner = store_given(store), learner_given(learner)
    learned = learner.fit(StoreRows(store, layer), device=device, progress=progress)
    _warn(learned.report, learner.space_name)
    return Concepts(
        vectors=learned.vectors,
        kind=learned.kind,
        site=store.site_at(layer),
        sizes=learned.sizes,
        learner={**learner.options(), "report": learned.report},
        provenance={**store.provenance, "store": store.fingerprint, "rows": len(store)},
        encoder=learned.encoder,
    )


def _warn(report: dict[str, object], space: str) -> None:
    dims = report.get("dominant_dimensions")
    if not dims or space in ("standard", "white"):
        return
    warnings.warn(
        f"dimensions {dims} carry {report['dominant_share']:.0%} of the variance, and so decide "
        'which states are near: learn in space="standard" to hear the others',
        DominantDimensions,
        stacklevel=3,
    )
