"""``learn``: from a store of states to frozen concepts."""

import warnings
from pathlib import Path
from typing import Any

import torch

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.given import learner_given, store_given
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress


class DominantDimensions(UserWarning):
    """A few dimensions carry most of the variance, and with it the distances between states."""


class FlatDirections(UserWarning):
    """More directions than the states vary in: the last ones are arbitrary."""


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
        LearnError: more concepts than rows, or than different ones; states that are not finite; no
            store or learner.
        SiteError: the store does not hold that layer.
        StoreError: no finished store lies at the path.

    Warns:
        DominantDimensions: see there; ``space="standard"`` is the remedy, ``"white"`` where
            dimensions are also correlated.
        FlatDirections: of PCA, see there.
    """
    store, learner = store_given(store), learner_given(learner)
    learned = learner.fit(StoreRows(store, layer), device=device, progress=progress)
    _require_different(learner, learned.report, len(store))
    _warn(learned.report, learner)
    return Concepts(
        vectors=learned.vectors,
        kind=learned.kind,
        site=store.site_at(layer),
        sizes=learned.sizes,
        learner={**learner.options(), "report": learned.report},
        provenance={**store.provenance, "store": store.fingerprint, "rows": len(store)},
        encoder=learned.encoder,
    )


def _require_different(learner: ConceptLearner, report: dict[str, Any], n: int) -> None:
    """Refuse concepts of which some must be copies of others.

    ``fit`` gives them: resamples of rows hold some of them twice. A person would read the same
    concept twice, once with no state of its own.
    """
    if different := report.get("different_rows"):
        raise LearnError(
            f"cannot learn {learner.k} concepts from {different} different states ({n} in all)",
            allowed=f"k from 1 to {different}",
            remedy="choose a smaller k, or harvest samples whose states differ",
        )


def _warn(report: dict[str, Any], learner: ConceptLearner) -> None:
    rank = report.get("rank", learner.k)
    if rank < learner.k:
        warnings.warn(
            f"the states vary in {rank} directions, of {learner.k} that were asked for: concepts "
            f"from {rank} on have no variance and are arbitrary",
            FlatDirections,
            stacklevel=3,
        )
    dims = report.get("dominant_dimensions")
    if not dims or learner.space_name in ("standard", "white"):
        return
    warnings.warn(
        f"dimensions {dims} carry {report['dominant_share']:.0%} of the variance, and so decide "
        'which states are near: learn in space="standard" to hear the others',
        DominantDimensions,
        stacklevel=3,
    )
