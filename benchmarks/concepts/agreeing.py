"""Do concepts fall together with what is known of the scenes, more than random samples do?

For each seed another random half of the pictures is learned from, the other half is judged, and the
learner has another seed. The baseline is the mean over several draws of random samples of the same
half. Adjusted mutual information: 0 is chance, 1 the same partition.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

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
SELECTION_SEEDS = 3

Make = Callable[[int, int], ConceptLearner]
"""From k and a seed."""

JUDGED: dict[str, dict[str, Make]] = {
    "k-means": {
        "raw": lambda k, seed: KMeans(k=k, seed=seed),
        "standard": lambda k, seed: KMeans(k=k, seed=seed, space="standard"),
    },
    "sparse coding": {
        f"{space}, penalty {penalty}": lambda k, seed, space=space, penalty=penalty: SparseCoding(
            k=k, seed=seed, space=space, penalty=penalty
        )
        for space in ("centred", "standard")
        for penalty in (1.0, 10.0)
    },
}
"""Learners with a goal, and the options that the selection rows choose from in each block."""

OTHERS: dict[str, Make] = {
    "minibatch k-means": lambda k, seed: MiniBatchKMeans(k=k, seed=seed),
    "semi-NMF": lambda k, seed: SemiNMF(k=k, seed=seed, space="centred"),
    "PCA": lambda k, seed: PCA(k=k, seed=seed),
    "random directions": lambda k, seed: RandomDirections(k=k, seed=seed),
    "largest norm": lambda k, seed: LargestNorm(k=k, seed=seed),
}
"""Learners without one."""


@dataclass(frozen=True)
class Effort:
    """How much is asked of this part; a test asks for little."""

    k: int = K
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
    chosen = {name: choose(world, layer, factors, name, how) for name in JUDGED}
    makers = {name: JUDGED[name][option] for name, option in chosen.items()} | OTHERS
    gains = _gains(world, layer, factors, makers, how)
    figures: list[Figure] = []
    for name in makers:
        what = (
            f"{how.seeds} seeds, each with other halves of the pictures (at most {how.most:,} rows "
            f"learned from, as many judged) and another seed of the learner; k = {how.k}; "
            f"baseline: mean of {how.baselines} draws of random samples"
        )
        if name in chosen:
            what += f"; {chosen[name]}, chosen on other pictures"
            figures += [
                _figure(f"block {layer}: {name}, AMI with {factor} - random samples'",
                        gains[name][:, at], "> 0", what)
                for at, factor in enumerate(factors)
            ]  # fmt: skip
        figures.append(
            _figure(f"block {layer}: {name}, mean AMI - random samples'",
                    gains[name].mean(axis=1), "", f"mean over {', '.join(factors)}; {what}")
        )  # fmt: skip
    return figures


def choose(world: World, layer: int, factors: Sequence[str], name: str, how: Effort) -> str:
    """The option whose smallest gain over the factors is largest, on the selection rows."""
    options = JUDGED[name]
    few = Effort(how.k, min(SELECTION_SEEDS, how.seeds), how.most, how.baselines)
    gains = _gains(world, layer, factors, options, few, of=world.selection)
    return max(options, key=lambda option: float(gains[option].mean(axis=0).min()))


def _gains(
    world: World,
    layer: int,
    factors: Sequence[str],
    makers: dict[str, Make],
    how: Effort,
    of: Rows | None = None,
) -> dict[str, np.ndarray]:
    """AMI minus random samples', (seeds, factors) for each learner."""
    found: dict[str, list[list[float]]] = {name: [] for name in makers}
    for seed in range(how.seeds):
        learn, judge = world.halves(of or world.pool, seed, how.most)
        values = [judge.factor(factor) for factor in factors]
        usual = np.mean(
            [
                scores(RandomSamples(k=how.k, seed=1000 * seed + at), learn, judge, layer, values)
                for at in range(how.baselines)
            ],
            axis=0,
        )
        for name, make in makers.items():
            mine = scores(make(how.k, seed), learn, judge, layer, values)
            found[name].append((np.asarray(mine) - usual).tolist())
    return {name: np.asarray(rows) for name, rows in found.items()}


def scores(
    learner: ConceptLearner, learn: Rows, judge: Rows, layer: int, values: Sequence[np.ndarray]
) -> list[float]:
    """AMI of the judged rows' concepts with each factor."""
    assignment = learner.fit(learn.states(layer)).assign(judge.states(layer))
    return [agreement(assignment, one.tolist()) for one in values]


def _figure(name: str, values: np.ndarray, goal: str, how: str) -> Figure:
    return from_interval(name, over_seeds(values), "AMI", goal, how)


def over_seeds(values: np.ndarray) -> Interval:
    """Mean with its 95 % t-interval."""
    from scipy import stats

    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("-inf"), float("inf"))
    reach = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return Interval(mean, mean - reach, mean + reach)
