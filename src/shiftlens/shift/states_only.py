"""Comparing needs concepts that are states: a shift is added to a state, not to a direction."""

from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import LearnError


def require_states(learner: ConceptLearner) -> None:
    """Refuse learners of directions before anything is learned.

    Raises:
        LearnError: the learner's vectors are directions.
    """
    if learner.kind != "centroid":
        raise LearnError(
            f"{learner.name!r} learns directions, and shifts lead from states to states",
            allowed="learners of centroids: KMeans, MiniBatchKMeans, RandomSamples",
            remedy="compare with KMeans, and look at each model's directions with learn and ground",
        )
