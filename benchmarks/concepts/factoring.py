"""Sparse coding beside scikit-learn's, semi-NMF beside Ding's multiplicative updates.

``python -m benchmarks.concepts.factoring`` runs this part alone. Rows have a power-law spectrum, as
states have. Every solution, ours and theirs, is judged by one function that shares no code with
either; times are CPU-seconds on one thread.
"""

import warnings
from collections.abc import Callable, Sequence
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

LADDER = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500)


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
    """CPU time until our objective is scikit-learn's final one, and by our own stopping rule.

    Args:
        n: rows.
        d: width.
        k: concepts.
        runs: draws of rows.
        max_iter: of scikit-learn; 1000 is its default.
    """
    reached: list[float] = []
    whole: list[float] = []
    values: list[float] = []
    seconds: list[float] = []
    for seed in range(runs):
        rows = power_law(n, d, seed, scale=3.0)
        theirs = _scikit(rows, k, seed, max_iter)
        ours = solve(SparseCoding(k=k, seed=seed, penalty=PENALTY, halved=True), rows, lasso_value)
        first = first_as_good(
            lambda most, seed=seed: SparseCoding(
                k=k, seed=seed, penalty=PENALTY, halved=True, max_iter=most, tol=0.0
            ),
            rows,
            lasso_value,
            theirs.objective,
        )
        reached.append(0.0 if first is None else theirs.cpu / first.cpu)
        whole.append(theirs.cpu / ours.cpu)
        values.append(ours.objective / theirs.objective)
        seconds.append(theirs.cpu)
    what = (
        f"n = {n:,}, d = {d:,}, k = {k}, power-law spectrum, penalty {PENALTY:g} on the halved "
        f"error; scikit-learn needs {min(seconds):.0f} to {max(seconds):.0f} CPU-seconds"
    )
    return [
        over_all("sparse coding: scikit-learn's CPU time / ours to its final objective", reached,
                 "ratio", ">= 50", f"our whole fit with the fewest iterations that end there, 0 if "
                 f"none does; {what}"),
        over_all("sparse coding: scikit-learn's CPU time / ours, own stopping rules", whole,
                 "ratio", "", what),
        over_all("sparse coding: our objective / scikit-learn's, own stopping rules", values,
                 "ratio", "<= 1.01", what),
    ]  # fmt: skip


def beside_ding(n: int, d: int, k: int, runs: int, iterations: int = ITERATIONS) -> list[Figure]:
    """Objective beside that of the updates of Ding, Li and Jordan (2010), and CPU time to it."""
    reached: list[float] = []
    values: list[float] = []
    for seed in range(runs):
        rows = power_law(n, d, seed, scale=3.0)
        timed = timing(lambda rows=rows, seed=seed: semi_nmf(rows.numpy(), k, seed, iterations))
        theirs = Solved(squared_error(rows, *timed.found), timed.cpu)
        ours = solve(SemiNMF(k=k, seed=seed), rows, squared_error)
        first = first_as_good(
            lambda most, seed=seed: SemiNMF(k=k, seed=seed, max_iter=most, tol=0.0),
            rows,
            squared_error,
            theirs.objective,
        )
        reached.append(0.0 if first is None else theirs.cpu / first.cpu)
        values.append(ours.objective / theirs.objective)
    what = (
        f"n = {n:,}, d = {d:,}, k = {k}, power-law spectrum; {iterations} multiplicative updates "
        "in NumPy from k-means"
    )
    return [
        over_all("semi-NMF: our objective / multiplicative updates'", values, "ratio", "<= 1.01",
                 what),
        over_all("semi-NMF: CPU time of multiplicative updates / ours to their objective", reached,
                 "ratio", "", f"our whole fit, 0 if it does not get there; {what}"),
    ]  # fmt: skip


Value = Callable[[Tensor, np.ndarray, np.ndarray], float]


def solve(learner: ConceptLearner, rows: Tensor, value: Value) -> Solved:
    """A whole fit of one of ours, judged with the codes that its encoder gives."""
    timed = timing(lambda: learner.fit(rows))
    learned = timed.found
    codes = learned.encode(rows).numpy()
    return Solved(value(rows, codes, learned.vectors.numpy()), timed.cpu)


def first_as_good(
    learner_of: Callable[[int], ConceptLearner],
    rows: Tensor,
    value: Value,
    goal: float,
    ladder: Sequence[int] = LADDER,
) -> Solved | None:
    """The first fit whose objective is at most ``goal``, by growing numbers of iterations."""
    for most in ladder:
        found = solve(learner_of(most), rows, value)
        if found.objective <= goal:
            return found
    return None


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
