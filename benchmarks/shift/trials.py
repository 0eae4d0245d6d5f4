"""Many judgements at once: one trial is a cut of the data, a fine-tune, and its verdicts."""

import multiprocessing
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from benchmarks.shift.states import Pool, split
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.shift.margins import Margins
from shiftlens.shift.refits import Split
from shiftlens.shift.verdicts import Verdicts, judge, measured

K = 8
DRAWS = 60
PLACEBOS = tuple(f"placebo-{seed}" for seed in range(5))

Trial = TypeVar("Trial")
Result = TypeVar("Result")


def parallel(function: Callable[[Trial], Result], trials: Sequence[Trial]) -> list[Result]:
    """Run trials in two processes of one thread each, in order."""
    with multiprocessing.get_context("spawn").Pool(2, initializer=_one_thread) as pool:
        return pool.map(function, trials, chunksize=4)


def _one_thread() -> None:
    torch.set_num_threads(1)


def verdicts(pool: Pool, label: str, placebos: Sequence[str], seed: int) -> Verdicts:
    """Judge one fine-tune on one cut, with margins from the given placebos on the same cut."""
    base, groups = pool.states("base"), pool.groups()
    splits = {name: split(base, pool.states(name), groups, seed) for name in (label, *placebos)}
    return passed(splits[label], [splits[name] for name in placebos], seed)


def margins(pool: Pool, placebos: Sequence[str], learner: KMeans, seed: int) -> Margins:
    """What placebos move, on one cut."""
    base, groups = pool.states("base"), pool.groups()
    splits = [split(base, pool.states(name), groups, seed) for name in placebos]
    learned = learner.fit(splits[0].base)
    return Margins.from_placebos([measured(one, learned) for one in splits])


def passed(one: Split, placebos: Sequence[Split], seed: int, k: int = K) -> Verdicts:
    """Verdicts on one split, with margins from placebos on the same rows."""
    learner = KMeans(k=k, seed=seed)
    learned = learner.fit(one.base)
    margins = Margins.from_placebos([measured(other, learned) for other in placebos])
    return judge(one, learner, learned, margins, seed=seed, draws=DRAWS)


def alarms(found: Verdicts) -> int:
    """How many verdicts are neither stable nor undecided."""
    return sum(
        verdict.verdict not in ("stable", "undecided")
        for concept in found.concepts
        for verdict in concept.values()
    )
