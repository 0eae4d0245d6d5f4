"""``learn``: from a store of states to frozen concepts."""

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learner import ConceptLearner
from shiftlens.core.errors import LearnError


def learn(store: ActivationStore, learner: ConceptLearner, *, layer: int | None = None) -> Concepts:
    """Learn concepts from the states of one layer of a store.

    Args:
        store: harvested states.
        learner: for example ``KMeans(k=20, seed=0)``.
        layer: which of the store's layers; may be left out when there is one.

    Returns:
        concepts without words and images; ``ground`` adds them.

    Raises:
        LearnError: more concepts than rows, or states that are not finite.
        SiteError: the store does not hold that layer.
    """
    if not len(store):
        raise LearnError("the store holds no rows", remedy="harvest samples that say the word")
    learned = learner.fit(store.states(layer))
    return Concepts(
        vectors=learned.vectors,
        kind=learned.kind,
        site=store.site_at(layer),
        sizes=learned.sizes,
        learner={**learner.options(), "report": learned.report},
        provenance={**store.provenance, "store": store.fingerprint, "rows": len(store)},
    )
