"""Do the contrastive words of a concept name what its samples have in common?

A concept's majority value of a factor is the commonest one among its samples. It is *named* if one
of its words is among the concept's five contrastive words. A concept counts, by the lenient rule,
if the majority value of any factor that a probe can read is named; by the strict rule, only if that
of the factor is in which the concept is most above the value's usual share.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.concepts.world_data import Rows, World
from benchmarks.figures import Figure, share
from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.grounding.ground import ground
from shiftlens.concepts.grounding.words import random_words
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learning import learn
from shiftlens.world.language import ADJECTIVES, CONTEXT_NOUNS, DETAILS, WEATHER, plural
from shiftlens.world.scenes import PLACES

N_WORDS, SHARE, SEEDS, FEWEST = 5, 0.8, 3, 5


@dataclass(frozen=True)
class Majority:
    """A concept's commonest value of one factor.

    Attributes:
        factor: its name.
        value: the value.
        share: of the concept's samples.
        lift: that minus the value's share of all samples.
    """

    factor: str
    value: str
    share: float
    lift: float

    def named_by(self, words: Sequence[str]) -> bool:
        """Whether one of the value's words is among these."""
        return bool(words_for(self.factor, self.value) & set(words))


def words_for(factor: str, value: str) -> frozenset[str]:
    """The words that name a value: the world's own, and what people are called in a place.

    A person in the snow is a skier: ``CONTEXT_NOUNS`` belong to the place. A subject is named by
    its own noun alone, in either number.
    """
    words = {value}
    if factor == "place" and value in PLACES:
        noun = CONTEXT_NOUNS[value]
        words |= {ADJECTIVES[value], noun, plural(noun), *DETAILS[value].split()} - {"and"}
    elif factor == "mood" and value in WEATHER:
        words.add(WEATHER[value])
    elif factor == "subject":
        words.add(plural(value))
    return frozenset(words)


def majorities(
    assignment: np.ndarray, concept: int, values: Mapping[str, np.ndarray]
) -> list[Majority]:
    """The majority value of every factor among a concept's samples."""
    inside = assignment == concept
    found: list[Majority] = []
    for factor, column in values.items():
        value, count = Counter(column[inside].tolist()).most_common(1)[0]
        own = count / int(inside.sum())
        found.append(Majority(factor, value, own, own - float((column == value).mean())))
    return found


def named(
    assignment: np.ndarray, words: WordLists, values: Mapping[str, np.ndarray]
) -> tuple[list[bool], list[bool]]:
    """For every concept of five samples or more: named by the lenient and by the strict rule."""
    lenient: list[bool] = []
    strict: list[bool] = []
    for concept, own in enumerate(words):
        if int((assignment == concept).sum()) < FEWEST:
            continue
        found = majorities(assignment, concept, values)
        lenient.append(any(one.named_by(own) for one in found))
        strict.append(max(found, key=lambda one: one.lift).named_by(own))
    return lenient, strict


def figures_of(
    world: World, layer: int, factors: Sequence[str], *, k: int, most: int, seeds: int = SEEDS
) -> list[Figure]:
    """Figures of one block; the goal stands at the last, whose states the head was made to read."""
    if not factors:
        return []
    last = layer == max(world.layers)
    hits: dict[str, list[bool]] = {
        rule: [] for rule in ("any", "main", "random any", "random main")
    }
    for seed in range(seeds):
        rows, _ = world.halves(world.pool, seed, most)
        lists, random, assignment = _words(world, rows, layer, k, seed)
        values = {factor: rows.factor(factor) for factor in factors}
        for prefix, words in (("", lists), ("random ", random)):
            lenient, strict = named(assignment, words, values)
            hits[f"{prefix}any"] += lenient
            hits[f"{prefix}main"] += strict
    what = f"k-means, k = {k}, {N_WORDS} contrastive words, {seeds} draws; {', '.join(factors)}"
    return [
        share(f"block {layer}: concepts whose words name a majority value", hits["any"],
              f">= {SHARE:g}" if last else "", f"of any factor that a probe reads; {what}"),
        share(f"block {layer}: concepts whose words name their main value", hits["main"],
              "", f"of the factor with the largest lift; {what}"),
        share(f"block {layer}: the same of random directions' words", hits["random any"],
              "", f"of any factor that a probe reads; {what}"),
        share(f"block {layer}: the same of random directions' words, main value",
              hits["random main"], "", f"of the factor with the largest lift; {what}"),
    ]  # fmt: skip


def _words(
    world: World, rows: Rows, layer: int, k: int, seed: int
) -> tuple[WordLists, WordLists, np.ndarray]:
    """Contrastive words of concepts, words of as many random directions, and the assignment."""
    store = rows.view()
    concepts = learn(store, KMeans(k=k, seed=seed), layer=layer)
    readout = world.model.readout
    options = {"n_words": N_WORDS, "n_images": 0, "neighbours": False}
    grounded = ground(concepts, store, readout, **options)
    states = rows.states(layer)
    mean = states.mean(dim=0)
    length = float((concepts.vectors - mean).norm(dim=1).mean())
    random = random_words(readout, k, N_WORDS, mean=mean, norm=length, seed=seed)
    return grounded.contrastive, random, concepts.assign(states).numpy()
