"""Semi-NMF by the multiplicative updates of Ding, Li and Jordan (2010), written from the paper.

X (d, n) ~ F (d, k) G^T with G (n, k) >= 0 in its notation; rows here are X^T. Nothing of shiftlens
is used.
"""

import numpy as np

_START = 0.2
"""Added to the indicators of the k-means groups, as section 3.3 advises."""
_TINY = 1e-12


def semi_nmf(rows: np.ndarray, k: int, seed: int, iterations: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes G (n, k) and vectors F^T (k, d) after some updates from a k-means start."""
    from sklearn.cluster import KMeans

    labels = KMeans(k, n_init=1, max_iter=10, random_state=seed).fit(rows).labels_
    codes = np.full((len(rows), k), _START, dtype=np.float32)
    codes[np.arange(len(rows)), labels] += 1
    vectors = best_vectors(rows, codes)
    for _ in range(iterations):
        cross, gram = rows @ vectors.T, vectors @ vectors.T
        above = _positive(cross) + codes @ _negative(gram)
        below = _negative(cross) + codes @ _positive(gram)
        codes = codes * np.sqrt(above / np.maximum(below, _TINY))
        vectors = best_vectors(rows, codes)
    return codes, vectors


def best_vectors(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """F = X G (G^T G)^-1 (equation 10), as rows."""
    return np.linalg.pinv(codes.T @ codes) @ (codes.T @ rows)


def _positive(matrix: np.ndarray) -> np.ndarray:
    return (np.abs(matrix) + matrix) / 2


def _negative(matrix: np.ndarray) -> np.ndarray:
    return (np.abs(matrix) - matrix) / 2
