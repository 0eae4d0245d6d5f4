"""Do concepts fall together with what is known of the scenes, more than random samples do?

Factors compete: a partition that follows the place closely cannot follow the mood as well. So each
factor of each block has its own space and number of concepts, chosen on other pictures. Then, for
each seed, another random half of the pictures is learned from, the other half is judged, and the
learner has another seed. The baseline is the mean over several draws of as many random samples, of
the same half and in the same space. Adjusted mutual information: 0 is chance, 1 the same partition.

What one partition for all factors does, with the usual options, stands beside, without a goal.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from benchmarks.concepts.world_data import Rows, World
from benchmarks.figures import Figure, from_interval
from shiftlens.concepts.learners.baselines import LargestNorm, RandomDirections, RandomSamples
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans
from shiftlens.concepts.learners.pca import PCA
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.learners.sparse_coding import SparseCoding
from shiftlens.concepts.quality.agreement import agreement
from shiftlens.core.intervals import Interval

K, SEEDS, MOST = 20, 20, 2000
BASELINES = 5
SELECTION_SEEDS = 4
KS = (5, 10, 20, 40)
MORE = (80,)
"""For k-means, which takes no time: fine groups follow small differences."""

SPACES = ("raw", "standard", "white")

Make = Callable[[int], ConceptLearner]
"""From a seed."""


@dataclass(frozen=True)
class Option:
    """One way to learn, and its baseline.

    Attributes:
        text: in words.
        make: the learner of a seed.
        random: random samples of a seed, as many and in the same space.
    """

    text: str
    make: Make
    random: Make


def kmeans_options(ks: Sequence[int] = (*KS, *MORE)) -> list[Option]:
    """Every space and every number of concepts."""
    return [
        Option(
            f"space {space}, k = {k}",
            partial(_kmeans, k, space),
            partial(_samples, k, space),
        )
        for space in SPACES
        for k in ks
    ]


def sparse_options(ks: Sequence[int] = KS) -> list[Option]:
    """The same, without the space whose common mean would be in every code, with two penalties."""
    return [
        Option(
            f"space {space}, penalty {penalty:g}, k = {k}",
            partial(_sparse, k, space, penalty),
            partial(_samples, k, space),
        )
        for space, penalty in (
            ("centred", 10.0),
            ("standard", 1.0),
            ("standard", 10.0),
            ("white", 1.0),
        )
        for k in ks
    ]


def _kmeans(k: int, space: str, seed: int) -> ConceptLearner:
    return KMeans(k=k, seed=seed, space=space)


def _sparse(k: int, space: str, penalty: float, seed: int) -> ConceptLearner:
    return SparseCoding(k=k, seed=seed, space=space, penalty=penalty)


def _samples(k: int, space: str, seed: int) -> ConceptLearner:
    return RandomSamples(k=k, seed=seed, space=space)


JUDGED: Mapping[str, Callable[[Sequence[int]], list[Option]]] = {
    "k-means": lambda ks: kmeans_options((*ks, *(MORE if ks == KS else ()))),
    "sparse coding": sparse_options,
}
"""Learners with a goal, and the options that the selection rows choose from."""


def usual(k: int) -> dict[str, Make]:
    """Learners with their usual options, one partition for all factors."""
    return {
        "k-means": partial(_kmeans, k, "raw"),
        "sparse coding": partial(_sparse, k, "centred", 10.0),
        "minibatch k-means": lambda seed: MiniBatchKMeans(k=k, seed=seed),
        "semi-NMF": lambda seed: SemiNMF(k=k, seed=seed, space="centred"),
        "PCA": lambda seed: PCA(k=k, seed=seed),
        "random directions": lambda seed: RandomDirections(k=k, seed=seed),
        "largest norm": lambda seed: LargestNorm(k=k, seed=seed),
    }


@dataclass(frozen=True)
class Effort:
    """How much is asked of this part; a test asks for little.

    Attributes:
        k: concepts of the usual options.
        ks: numbers of concepts that are chosen from.
        seeds: draws of halves.
        most: rows that are learned from, and judged, at most.
        baselines: draws of random samples.
    """

    k: int = K
    ks: tuple[int, ...] = KS
    seeds: int = SEEDS
    most: int = MOST
    baselines: int = BASELINES


def figures_of(
    world: World, layer: int, factors: Sequence[str], effort: Effort | None = None
) -> list[Figure]:
    """Figures of one block, for the factors that a probe can read there."""
    how = effort or Effort()
    if not factors:
        return []
    figures: list[Figure] = []
    for name, options_of in JUDGED.items():
        figures += _with_goals(world, layer, factors, name, options_of(how.ks), how)
    return [*figures, *_without(world, layer, factors, how)]


def _with_goals(
    world: World,
    layer: int,
    factors: Sequence[str],
    name: str,
    options: Sequence[Option],
    how: Effort,
) -> list[Figure]:
    chosen = choose(world, layer, factors, options, how)
    distinct = {one.text: one for one in chosen}
    found = _judged(world.pool, world, layer, factors, list(distinct.values()), how.seeds, how)
    figures: list[Figure] = []
    for at, (factor, option) in enumerate(zip(factors, chosen, strict=True)):
        mine, random = found[option.text][:, :, at].T
        text = (
            f"AMI {mine.mean():.3f}, random samples' {random.mean():.3f}; {option.text}, chosen on "
            f"other pictures; {_seeds(how)}"
        )
        title = f"block {layer}: {name}, AMI with {factor} - random samples'"
        figures.append(from_interval(title, over_seeds(mine - random), "AMI", "> 0", text))
    return figures


def _without(world: World, layer: int, factors: Sequence[str], how: Effort) -> list[Figure]:
    options = [
        Option(name, make, partial(_samples, how.k, "raw")) for name, make in usual(how.k).items()
    ]
    how = replace(how, seeds=max(2, how.seeds // 2))
    found = _judged(world.pool, world, layer, factors, options, how.seeds, how)
    text = f"mean over {', '.join(factors)}; usual options, k = {how.k}; {_seeds(how)}"
    return [
        from_interval(
            f"block {layer}: {one.text}, usual options, mean AMI - random samples'",
            over_seeds((found[one.text][:, 0] - found[one.text][:, 1]).mean(axis=1)),
            "AMI",
            "",
            text,
        )
        for one in options
    ]


def _seeds(how: Effort) -> str:
    return (
        f"{how.seeds} seeds, each with other halves of the pictures (at most {how.most:,} rows "
        "learned from, as many judged) and another seed of the learner; baseline: mean of "
        f"{how.baselines} draws"
    )


def choose(
    world: World, layer: int, factors: Sequence[str], options: Sequence[Option], how: Effort
) -> list[Option]:
    """For each factor the option whose gain is largest beside its spread, on the selection rows."""
    seeds = max(2, min(SELECTION_SEEDS, how.seeds))
    found = _judged(world.selection, world, layer, factors, options, seeds, how)
    gains = np.stack([found[one.text][:, 0] - found[one.text][:, 1] for one in options])
    # Few seeds make a small spread by luck: none is taken to be below this.
    ranks = gains.mean(axis=1) / (gains.std(axis=1, ddof=1) / seeds**0.5 + 0.005)
    return [options[at] for at in ranks.argmax(axis=0).tolist()]


def _judged(
    rows: Rows,
    world: World,
    layer: int,
    factors: Sequence[str],
    options: Sequence[Option],
    seeds: int,
    how: Effort,
) -> dict[str, np.ndarray]:
    """AMI of each option and of its random samples, (seeds, 2, factors)."""
    found: dict[str, list[list[list[float]]]] = {one.text: [] for one in options}
    for seed in range(seeds):
        learn, judge = world.halves(rows, seed, how.most)
        states = learn.states(layer), judge.states(layer)
        values = [judge.factor(factor) for factor in factors]
        known: dict[ConceptLearner, list[float]] = {}
        for one in options:
            draws = [one.random(1000 * seed + at) for at in range(how.baselines)]
            for learner in (one.make(seed), *draws):
                if learner not in known:
                    known[learner] = scores(learner, *states, values)
            random = np.mean([known[learner] for learner in draws], axis=0)
            found[one.text].append([known[one.make(seed)], random.tolist()])
    return {name: np.asarray(table) for name, table in found.items()}


def scores(
    learner: ConceptLearner, learn: Tensor, judge: Tensor, values: Sequence[np.ndarray]
) -> list[float]:
    """AMI of the judged rows' concepts with each factor."""
    assignment = learner.fit(learn).assign(judge)
    return [agreement(assignment, one.tolist()) for one in values]


def over_seeds(values: np.ndarray) -> Interval:
    """Mean with its 95 % t-interval."""
    from scipy import stats

    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("-inf"), float("inf"))
    reach = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return Interval(mean, mean - reach, mean + reach)
