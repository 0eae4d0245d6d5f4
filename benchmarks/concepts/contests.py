"""Contenders who solve one problem, timed in turns within one run."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from benchmarks.figures import Figure, from_interval
from shiftlens.core.intervals import Interval, percentile


@dataclass(frozen=True)
class Turn:
    """One solution.

    Attributes:
        wall: seconds.
        cpu: seconds of all threads of this process.
        objective: what the solution is worth, by a function that is the same for everybody; small
            is good.
    """

    wall: float
    cpu: float
    objective: float


@dataclass(frozen=True)
class Contest:
    """Every contender's turns, one a round; round i of all of them solves the same problem."""

    turns: Mapping[str, Sequence[Turn]]

    def column(self, name: str, field: str) -> np.ndarray:
        """One number of every round: ``wall``, ``cpu`` or ``objective``."""
        return np.asarray([getattr(turn, field) for turn in self.turns[name]])

    def as_good(self, name: str, others: Sequence[str], slack: float = 0.01) -> list[str]:
        """Those of the others whose mean objective is at most ``slack`` above that of ``name``."""
        bound = self.column(name, "objective").mean() * (1 + slack)
        return [one for one in others if self.column(one, "objective").mean() <= bound]

    def fastest(self, names: Sequence[str], field: str) -> str:
        """The one with the smallest median time."""
        return min(names, key=lambda name: float(np.median(self.column(name, field))))


Problem = Any
Solve = Callable[[Problem, int], Any]


def contest(
    problem_of: Callable[[int], Problem],
    contenders: Mapping[str, Solve],
    objective: Callable[[Problem, Any], float],
    rounds: int,
) -> Contest:
    """Let every contender solve every round's problem; the order turns from round to round.

    Args:
        problem_of: the problem of a round, by its number.
        contenders: by name: takes a problem and a seed.
        objective: of a problem and its solution; not timed.
        rounds: how many problems.
    """
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        problem = problem_of(number)
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned if number % 2 else reversed(turned):
            timed = timing(partial(contenders[name], problem, number))
            turns[name].append(Turn(timed.wall, timed.cpu, objective(problem, timed.found)))
    return Contest(turns)


@dataclass(frozen=True)
class Timed:
    """What a call gave, and the seconds that it took."""

    found: Any
    wall: float
    cpu: float


def timing(run: Callable[[], Any]) -> Timed:
    """Call once, with both clocks."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return Timed(found, time.perf_counter() - wall, time.process_time() - cpu)


@contextmanager
def on_threads(threads: int) -> Iterator[None]:
    """As many threads for everybody: torch, OpenMP and BLAS of every library that is loaded."""
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def installed(module: str) -> bool:
    """Whether a library can be imported."""
    return find_spec(module) is not None


def ratio(name: str, ours: np.ndarray, theirs: np.ndarray, goal: str, how: str) -> Figure:
    """Median of the rounds' ratios; see ``usual``."""
    how = f"{how}; {len(ours)} rounds, contenders in turns"
    return usual(name, ours / theirs, "ratio", goal, how)


def usual(name: str, values: np.ndarray, unit: str, goal: str, how: str) -> Figure:
    """Median of several values, with its bootstrap interval where there are three or more."""
    how, middle = f"{how}; median of {len(values)}", float(np.median(values))
    if len(values) < 3:
        return Figure(name, middle, None, None, unit, goal, how)
    draws = np.random.default_rng(0).choice(values, (2000, len(values)))
    return from_interval(name, percentile(np.median(draws, axis=1), middle), unit, goal, how)


def over_all(name: str, values: Sequence[float], unit: str, goal: str, how: str) -> Figure:
    """Median of a few runs; every one of them lies within the interval."""
    interval = Interval(float(np.median(values)), float(min(values)), float(max(values)))
    how = f"{how}; median of {len(values)} runs, all of them within the interval"
    return from_interval(name, interval, unit, goal, how)


def not_measured(name: str, why: str) -> Figure:
    """A figure without a value, that says why."""
    return Figure(name, float("nan"), None, None, "", "", f"not measured: {why}")
