"""Writes factors.json: what formulas and programs that are not ours make of a few states.

Semi-NMF by the multiplicative updates of Ding, Li and Jordan (2010), written out and run long
from several starts; sparse coding by scikit-learn's ``DictionaryLearning``; the singular value
decomposition by numpy. Run by hand, from the root of the repository; tests only read the numbers.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import DictionaryLearning

N, D, K = 80, 12, 4
ALPHA = 0.5
UPDATES, STARTS = 20_000, 8


def main() -> None:
    """Sums of a few parts, noise of falling size, and states that are far from the origin."""
    random = np.random.default_rng(11)
    parts = random.normal(size=(K, D))
    amounts = random.random((N, K)) * (random.random((N, K)) < 0.5)
    planted = amounts @ parts + 0.1 * random.normal(size=(N, D))
    falling = random.normal(size=(N, D)) / np.arange(1, D + 1) * 3
    far = random.normal(size=(N, D)) / np.arange(1, D + 1) + 4 * random.normal(size=D)
    cases = {"planted": planted, "falling": falling, "far": far}
    data = {name: _case(np.round(states, 3)) for name, states in cases.items()}
    path = Path(__file__).with_name("factors.json")
    path.write_text(json.dumps(data, indent=None) + "\n", encoding="utf-8")


def _case(states: np.ndarray) -> dict[str, object]:
    singular = np.linalg.svd(states - states.mean(axis=0))
    return {
        "states": states.tolist(),
        "k": K,
        "multiplicative": min(_multiplicative(states, seed) for seed in range(STARTS)),
        "alpha": ALPHA,
        "dictionary_learning": min(_dictionary(states, seed) for seed in range(STARTS)),
        "variances": (singular.S[:K] ** 2 / len(states)).tolist(),
        "directions": singular.Vh[:K].tolist(),
    }


def _multiplicative(states: np.ndarray, seed: int) -> float:
    """Objective after many updates; X = states^T, F the parts, G the amounts, as in the paper."""
    x = states.T
    labels = KMeans(K, n_init=1, random_state=seed).fit(states).labels_
    g = np.eye(K)[labels] + 0.2
    for _ in range(UPDATES):
        f = x @ g @ np.linalg.pinv(g.T @ g)
        up, down = x.T @ f, f.T @ f
        above = _positive(up) + g @ _negative(down)
        below = _negative(up) + g @ _positive(down)
        g = g * np.sqrt(above / np.maximum(below, 1e-300))
    f = x @ g @ np.linalg.pinv(g.T @ g)
    return float(((x - f @ g.T) ** 2).sum())


def _positive(matrix: np.ndarray) -> np.ndarray:
    return (np.abs(matrix) + matrix) / 2


def _negative(matrix: np.ndarray) -> np.ndarray:
    return (np.abs(matrix) - matrix) / 2


def _dictionary(states: np.ndarray, seed: int) -> float:
    """scikit-learn's objective: half the squared error and ALPHA times the sum of the codes."""
    start = np.random.default_rng(seed).normal(size=(K, D)) if seed else None
    learner = DictionaryLearning(
        K,
        alpha=ALPHA,
        positive_code=True,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        transform_max_iter=10_000,
        # A start is a pair; codes of ones, since the first step is to find better ones.
        code_init=None if start is None else np.ones((len(states), K)),
        dict_init=start,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = learner.fit_transform(states)
    error = states - codes @ learner.components_
    return float(0.5 * (error**2).sum() + ALPHA * codes.sum())


if __name__ == "__main__":
    main()
