"""Real adapters, five seeds each: a kind of fine-tuning is judged over training runs.

People are told apart by place, horses by colour. Under the places adapter the first kind of concept
should move its own way and the second should not; and a concept's own shift should come closer to
its tuned states than one shift for all, from the middle block on.
"""

import math
from functools import partial

import numpy as np
from scipy.stats import t

from benchmarks.figures import Figure, from_interval
from benchmarks.shift.states import LAYERS, Pool, open_pool
from benchmarks.shift.trials import PLACEBOS, margins, parallel, verdicts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.intervals import Interval
from shiftlens.shift.recovery import recover

SEEDS = range(5)
_SPLITS = 3
_POOLS = {"people": "told apart by place", "horses": "told apart by colour"}


def measure(pools: dict[str, Pool]) -> list[Figure]:
    """Verdicts and recovery over seeds."""
    figures: list[Figure] = []
    for style in ("places", "colors"):
        for name, how in _POOLS.items():
            figures += _moved(pools[name], style, name, how)
    for layer in LAYERS:
        figures += _recovered(pools["people"], layer)
    return figures


def _moved(pool: Pool, style: str, name: str, told: str) -> list[Figure]:
    trials = [(f"{style}-{seed}", split) for seed in SEEDS for split in range(_SPLITS)]
    found = parallel(partial(_own, pool.where), trials)
    by_seed = np.array(found).reshape(len(SEEDS), _SPLITS, 2).mean(axis=1)
    goal = {("places", "people"): "> 1", ("places", "horses"): ""}.get((style, name), "")
    return [
        from_interval(
            f"{style} adapter, {name}: own effect over its margin", over(by_seed[:, 0]), "ratio",
            goal, f"concepts {told}, weighted by samples; above 1 is more than a placebo does; "
            "t interval over five training runs",
        ),
        from_interval(
            f"{style} adapter, {name}: concepts changed their own way", over(by_seed[:, 1]),
            "share", "", f"concepts {told} whose own effect is called changed",
        ),
    ]  # fmt: skip


def _own(where: tuple[str, str], trial: tuple[str, int]) -> tuple[float, float]:
    """Mean own effect over the margin, and the share of concepts called changed by it."""
    label, seed = trial
    pool = open_pool(*where)
    floor = margins(pool, PLACEBOS, KMeans(k=8, seed=seed), seed).values["own"]
    found = verdicts(pool, label, PLACEBOS, seed)
    known = [(one["own"].estimate, one["own"].pictures) for one in found.concepts
             if math.isfinite(one["own"].estimate)]  # fmt: skip
    effects, sizes = (np.array(column) for column in zip(*known, strict=True))
    changed = len(found.decided("changed", "own")) / len(found.concepts)
    return float((effects * sizes).sum() / sizes.sum() / floor), changed


def _recovered(pool: Pool, layer: int) -> list[Figure]:
    found = parallel(partial(_recover, pool.where, layer), list(SEEDS))
    columns = {name: np.array([one[name] for one in found]) for name in found[0]}
    goals = {"concept - global": "> 0", "concept - shuffled": "> 0"}
    return [
        from_interval(
            f"places, block {layer}: {name}", over(values), "cosine", goals.get(name, ""),
            "centred, judged on samples, strength 1; t interval over five training runs",
        )
        for name, values in columns.items()
    ]  # fmt: skip


def _recover(where: tuple[str, str], layer: int, seed: int) -> dict[str, float]:
    pool = open_pool(*where)
    base, tuned = pool.states("base", layer), pool.states(f"places-{seed}", layer)
    found = recover(base, tuned, pool.groups(), KMeans(k=8, seed=seed), seed=seed, draws=20)
    at = list(found.strengths).index(1.0)
    score = {name: curve[at] for name, curve in found.centred_cosine.items()}
    gaps = {
        f"concept - {control}": score["concept"] - score[control]
        for control in ("global", "shuffled", "affine")
    }
    reached = found.shares["oracle"]
    share = math.nan if reached is None else reached.estimate
    return {**gaps, "share of the way from global to the ceiling": share}


def over(values: np.ndarray) -> Interval:
    """Mean and t interval over training runs."""
    mean = float(np.mean(values))
    half = t.ppf(0.975, len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)
