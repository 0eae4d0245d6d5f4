"""K-means and PCA beside scikit-learn and faiss, on the same rows, to equally good solutions.

``python -m benchmarks.concepts.speed`` runs this part alone. Every contender stops by its own rule
and uses every core; who ends more than 1 % worse is no yardstick.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.concepts.contests import (
    Contest,
    Solve,
    contest,
    cores,
    installed,
    not_measured,
    on_threads,
    ratio,
)
from benchmarks.concepts.rows import blurred, planted
from benchmarks.figures import Figure, main
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.learners.minibatch_kmeans import MiniBatchKMeans
from shiftlens.concepts.learners.pca import PCA

N, D, K, ROUNDS, STARTS = 50_000, 1024, 50, 4, 3
LIMIT = 1.5
_NO_FAISS = "faiss-cpu is not installed (pip install -e '.[bench]')"

Draw = Callable[[int, int, int, int], Tensor]


def measure(n: int = N, d: int = D, k: int = K, rounds: int = ROUNDS) -> list[Figure]:
    """Figures of both kinds of rows: sparse codes that were planted, and overlapping groups."""
    figures: list[Figure] = []
    kinds: dict[str, Draw] = {"planted codes": planted, "overlapping groups": blurred}
    with on_threads(cores()):
        for kind, draw in kinds.items():
            figures += beside_others(kind, draw, n, d, k, rounds)
        figures += minibatches(planted, n, d, k, rounds)
        figures += components(planted, n, d, k, rounds)
    return figures


def beside_others(kind: str, draw: Draw, n: int, d: int, k: int, rounds: int) -> list[Figure]:
    """Full k-means: ours, scikit-learn's, faiss'."""
    contenders: dict[str, Solve] = {"shiftlens": _ours, "scikit-learn": _scikit}
    if installed("faiss"):
        contenders["faiss"] = _faiss
    found = contest(lambda at: (draw(n, d, k, at), k), contenders, inertia, rounds)
    what = f"{kind}, n = {n:,}, d = {d:,}, k = {k}, {STARTS} starts each, {cores()} cores"
    figures = [_goodness(f"k-means, {kind}", found, what), *_fastest(kind, found, what)]
    for name in ("scikit-learn", "faiss"):
        title = f"k-means, {kind}: wall time / {name}"
        if name not in contenders:
            figures.append(not_measured(title, _NO_FAISS))
            continue
        worse = (found.column(name, "objective") / found.column("shiftlens", "objective")).mean()
        ours, theirs = found.column("shiftlens", "wall"), found.column(name, "wall")
        figures.append(ratio(title, ours, theirs, "", f"{what}; its inertia / ours {worse:.4f}"))
    return figures


def _goodness(name: str, found: Contest, what: str) -> Figure:
    """Mean inertia beside the smallest mean of all."""
    means = {one: float(found.column(one, "objective").mean()) for one in found.turns}
    best = min(means, key=lambda one: means[one])
    value = means["shiftlens"] / means[best]
    how = f"mean inertia over {len(found.turns[best])} rounds beside the best, {best}'s; {what}"
    return Figure(f"{name}: inertia / best", value, None, None, "ratio", "<= 1.01", how)


def _fastest(kind: str, found: Contest, what: str) -> list[Figure]:
    others = [name for name in found.turns if name != "shiftlens"]
    good = found.as_good("shiftlens", others)
    title = f"k-means, {kind}: {{}} / fastest"
    if not good:
        why = "no other library came within 1 % of our inertia"
        return [not_measured(title.format(clock), why) for clock in ("wall time", "CPU time")]
    figures: list[Figure] = []
    for clock, field in (("wall time", "wall"), ("CPU time", "cpu")):
        best = found.fastest(good, field)
        ours, theirs = found.column("shiftlens", field), found.column(best, field)
        how = f"{what}; the fastest of {', '.join(good)} is {best}, {theirs.mean():.2f} s a round"
        figures.append(ratio(title.format(clock), ours, theirs, f"<= {LIMIT}", how))
    return figures


def minibatches(draw: Draw, n: int, d: int, k: int, rounds: int) -> list[Figure]:
    """Minibatch k-means beside scikit-learn's, for information."""
    from sklearn.cluster import MiniBatchKMeans as Theirs

    def ours(problem: Any, seed: int) -> Tensor:
        rows, k = problem
        return MiniBatchKMeans(k=k, seed=seed, n_starts=STARTS).fit(rows).vectors

    def theirs(problem: Any, seed: int) -> Tensor:
        rows, k = problem
        learner = Theirs(k, random_state=seed, n_init=STARTS)
        return torch.from_numpy(learner.fit(rows.numpy()).cluster_centers_)

    contenders: dict[str, Solve] = {"shiftlens": ours, "scikit-learn": theirs}
    found = contest(lambda at: (draw(n, d, k, at), k), contenders, inertia, rounds)
    return _pair("minibatch k-means", "inertia", found, f"n = {n:,}, d = {d:,}, k = {k}")


def components(draw: Draw, n: int, d: int, k: int, rounds: int) -> list[Figure]:
    """Exact PCA beside scikit-learn's exact one (by covariance), for information."""
    from sklearn.decomposition import PCA as Theirs

    def ours(problem: Any, seed: int) -> Tensor:
        rows, k = problem
        return PCA(k=k, seed=seed).fit(rows).vectors

    def theirs(problem: Any, seed: int) -> Tensor:
        rows, k = problem
        learner = Theirs(k, svd_solver="covariance_eigh", random_state=seed)
        return torch.from_numpy(learner.fit(rows.numpy()).components_)

    contenders: dict[str, Solve] = {"shiftlens": ours, "scikit-learn": theirs}
    found = contest(lambda at: (draw(n, d, k, at), k), contenders, left_over, rounds)
    return _pair("PCA", "variance left over", found, f"n = {n:,}, d = {d:,}, k = {k}")


def _pair(name: str, what: str, found: Contest, where: str) -> list[Figure]:
    ours, theirs = (found.column(one, "objective") for one in ("shiftlens", "scikit-learn"))
    figures = [ratio(f"{name}: {what} / scikit-learn", ours, theirs, "", where)]
    for clock, field in (("wall time", "wall"), ("CPU time", "cpu")):
        ours, theirs = (found.column(one, field) for one in ("shiftlens", "scikit-learn"))
        figures.append(ratio(f"{name}: {clock} / scikit-learn", ours, theirs, "", where))
    return figures


def _ours(problem: Any, seed: int) -> Tensor:
    rows, k = problem
    return KMeans(k=k, seed=seed, n_starts=STARTS).fit(rows).vectors


def _scikit(problem: Any, seed: int) -> Tensor:
    from sklearn.cluster import KMeans as Theirs

    rows, k = problem
    learner = Theirs(k, random_state=seed, n_init=STARTS).fit(rows.numpy())
    return torch.from_numpy(learner.cluster_centers_)


def _faiss(problem: Any, seed: int) -> Tensor:
    import faiss

    rows, k = problem
    # By default it learns from 256 rows a centroid: here from all of them, as the others do.
    learner = faiss.Kmeans(
        rows.shape[1], k, nredo=STARTS, seed=seed, max_points_per_centroid=len(rows)
    )
    learner.train(rows.numpy())
    return torch.from_numpy(learner.centroids)


def inertia(problem: Any, centroids: Tensor) -> float:
    """Sum of squared distances of all rows to their nearest centroid, in float64."""
    rows, _ = problem
    total, centres = 0.0, centroids.double()
    for part in rows.split(8192):
        some = part.double()
        cross = some @ centres.T
        squared = some.square().sum(dim=1, keepdim=True) - 2 * cross + centres.square().sum(dim=1)
        total += float(squared.min(dim=1).values.sum())
    return total


def left_over(problem: Any, directions: Tensor) -> float:
    """Variance of the rows that their span does not explain, in float64."""
    rows, _ = problem
    mean = rows.double().mean(dim=0)
    basis = torch.linalg.qr(directions.double().T).Q
    total = 0.0
    for part in rows.split(8192):
        some = part.double() - mean
        total += float(some.square().sum() - (some @ basis).square().sum())
    return total


if __name__ == "__main__":
    main(measure, __doc__ or "")
