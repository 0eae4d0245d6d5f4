"""Sparse coding beside scikit-learn's, semi-NMF beside Ding's multiplicative updates.

``python -m benchmarks.concepts.factoring`` runs this part alone. Rows have a power-law spectrum, as
states have. Every solution, ours and theirs, is judged by one function that shares no code with
either; times are CPU-seconds on one thread.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from benchmarks.concepts.contests import on_threads, over_all, timing
from benchmarks.concepts.multiplicative import semi_nmf
from benchmarks.concepts.rows import power_law
from benchmarks.figures import Figure, main
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learners.semi_nmf import SemiNMF
from shiftlens.concepts.learners.sparse_coding import SparseCoding

N, D, K, RUNS = 2_000, 4_096, 20, 3
PENALTY = 1.0
"""Both have the squared error halved here, as scikit-learn has."""

ITERATIONS = 500
"""Of the multiplicative updates."""

FIRST_DRAW = 10
"""Seed of the first draw of rows: nothing was tuned on these."""

EQUAL = 1e-4
"""Objectives that differ by a smaller share are equal."""

SEEDS = 3
"""Of ours, tried one after the other."""


@dataclass(frozen=True)
class Solved:
    """What one solver gave.

    Attributes:
        objective: by ``lasso_value`` or ``squared_error``.
        cpu: seconds.
    """

    objective: float
    cpu: float


def measure(n: int = N, d: int = D, k: int = K, runs: int = RUNS) -> list[Figure]:
    """Figures of both, on the same rows."""
    with on_threads(1):
        return [*beside_scikit(n, d, k, runs), *beside_ding(n, d, k, runs)]


def beside_scikit(n: int, d: int, k: int, runs: int, max_iter: int = 1000) -> list[Figure]:
    """CPU time until our objective is scikit-learn's final one, and how good ours is.

    Args:
        n: rows.
        d: width.
        k: concepts.
        runs: draws of rows.
        max_iter: of scikit-learn; 1000 is its default.
    """
    reached: list[float] = []
    values: list[float] = []
    seconds: list[float] = []
    for seed in range(runs):
        rows = power_law(n, d, FIRST_DRAW + seed, scale=3.0)
        theirs = _scikit(rows, k, seed, max_iter)
        first, ours = reaching(
            lambda at: SparseCoding(k=k, seed=at, penalty=PENALTY, halved=True),
            rows,
            lasso_value,
            theirs.objective,
        )
        reached.append(theirs.cpu / ours)
        values.append(first.objective / theirs.objective)
        seconds.append(theirs.cpu)
    what = (
        f"n = {n:,}, d = {d:,}, k = {k}, power-law spectrum, penalty {PENALTY:g} on the halved "
        f"error; scikit-learn needs {min(seconds):.0f} to {max(seconds):.0f} CPU-seconds"
    )
    return [
        over_all("sparse coding: scikit-learn's CPU time / ours to its final objective", reached,
                 "ratio", ">= 50", f"{_TO_REACH}; {what}"),
        over_all("sparse coding: our objective / scikit-learn's", values, "ratio", "<= 1.01",
                 f"first seed, own stopping rules; {what}"),
    ]  # fmt: skip


def beside_ding(n: int, d: int, k: int, runs: int, iterations: int = ITERATIONS) -> list[Figure]:
    """Objective beside that of the updates of Ding, Li and Jordan (2010), and CPU time to it."""
    reached: list[float] = []
    values: list[float] = []
    for seed in range(runs):
        rows = power_law(n, d, FIRST_DRAW + seed, scale=3.0)
        timed = timing(lambda rows=rows, seed=seed: semi_nmf(rows.numpy(), k, seed, iterations))
        theirs = Solved(squared_error(rows, *timed.found), timed.cpu)
        first, ours = reaching(
            lambda at: SemiNMF(k=k, seed=at), rows, squared_error, theirs.objective
        )
        reached.append(theirs.cpu / ours)
        values.append(first.objective / theirs.objective)
    what = (
        f"n = {n:,}, d = {d:,}, k = {k}, power-law spectrum; {iterations} multiplicative updates "
        "in NumPy from k-means"
    )
    return [
        over_all("semi-NMF: our objective / multiplicative updates'", values, "ratio", "<= 1.01",
                 f"first seed, own stopping rule; {what}"),
        over_all("semi-NMF: CPU time of multiplicative updates / ours to their objective", reached,
                 "ratio", "", f"{_TO_REACH}; {what}"),
    ]  # fmt: skip


_TO_REACH = (
    "ours: whole fits with the usual options and stopping rule, seed after seed, until one ends at "
    "that objective (to four digits) or below; 0 if none does"
)


Value = Callable[[Tensor, np.ndarray, np.ndarray], float]


def solve(learner: ConceptLearner, rows: Tensor, value: Value) -> Solved:
    """A whole fit of one of ours, judged with the codes that its encoder gives."""
    timed = timing(lambda: learner.fit(rows))
    learned = timed.found
    codes = learned.encode(rows).numpy()
    return Solved(value(rows, codes, learned.vectors.numpy()), timed.cpu)


def reaching(
    learner_of: Callable[[int], ConceptLearner],
    rows: Tensor,
    value: Value,
    goal: float,
    seeds: int = SEEDS,
) -> tuple[Solved, float]:
    """The first seed's solution, and the CPU-seconds of all fits until one is at most ``goal``.

    The seconds are infinite where no seed gets there.
    """
    first: Solved | None = None
    seconds = 0.0
    for seed in range(seeds):
        found = solve(learner_of(seed), rows, value)
        first, seconds = first or found, seconds + found.cpu
        if found.objective <= goal * (1 + EQUAL):
            return first, seconds
    assert first is not None  # there is at least one seed
    return first, float("inf")


def _scikit(rows: Tensor, k: int, seed: int, max_iter: int) -> Solved:
    from sklearn.decomposition import DictionaryLearning
    from sklearn.exceptions import ConvergenceWarning

    learner = DictionaryLearning(
        k, alpha=PENALTY, positive_code=True, fit_algorithm="cd", transform_algorithm="lasso_cd",
        max_iter=max_iter, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        timed = timing(lambda: learner.fit_transform(rows.numpy()))
    return Solved(lasso_value(rows, timed.found, learner.components_), timed.cpu)


def lasso_value(rows: Tensor, codes: np.ndarray, vectors: np.ndarray) -> float:
    """Half the squared error plus the penalty, in float64.

    Raises:
        ValueError: a code is negative or a vector longer than one: not a solution at all.
    """
    if float(np.linalg.norm(vectors.astype(np.float64), axis=1).max()) > 1 + 1e-4:
        raise ValueError("a vector is longer than one")
    price = PENALTY * float(codes.astype(np.float64).sum())
    return squared_error(rows, codes, vectors) / 2 + price


def squared_error(rows: Tensor, codes: np.ndarray, vectors: np.ndarray) -> float:
    """||Z - V U||_F^2 in float64.

    Raises:
        ValueError: a code is negative.
    """
    if float(codes.min()) < 0:
        raise ValueError("a code is negative")
    rest = rows.double().numpy() - codes.astype(np.float64) @ vectors.astype(np.float64)
    return float((rest * rest).sum())


if __name__ == "__main__":
    main(measure, __doc__ or "")
