"""PCA: the directions in which states vary most.

acts Z (n, d), vectors (k, d) orthonormal; see ``PCA``.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.encoders import Projection
from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts, Vectors

_PARTS = 8
"""Blocks of columns: the covariance is symmetric, so blocks below the diagonal are left out."""
_STEP = 4096
"""Rows in a float32 product at most, before its sum goes on in float64."""
_EXACT_WORK = 2**34
"""Multiplications below which products are taken in float64 altogether."""
_SMALL = 1024
"""Matrices up to this size are decomposed as a whole."""
_SPARE, _DEPTH, _RESTARTS = 10, 6, 20
_AS_GOOD = 1e-13
"""What an eigenvector may miss, as a share of the largest eigenvalue."""
_NOTHING = 1e-9
"""Variance that counts as none, as a share of the largest."""

Symmetric = Float[Tensor, "m m"]


@learners.register("pca")
@dataclass(frozen=True)
class PCA(ConceptLearner):
    """Principal directions: min ||Z - mean - V U||_F^2 with orthonormal U.

    Use as the floor of every reconstruction: no k directions leave a smaller error. Codes are
    signed, so a row belongs to the direction of its largest positive score, if it has one.

    Exact, in one pass: the covariance is summed in float64 from products of blocks (float32 where
    the work is large), around the mean that the survey found; rows fewer than d are kept, and their
    scalar products decomposed instead. Agrees with an SVD in float64 to 1e-5 of the largest
    standard deviation; variances below 1e-9 of the largest count as none.

    Directions without variance (k larger than the rank) are kept, as scikit-learn keeps them:
    orthonormal and otherwise arbitrary. The report's ``rank`` and ``explained_variance`` tell, and
    ``learn`` warns. Signs are chosen such that the entry of
    largest absolute value is positive, the first one of equals. Variances are means over n.

    Cost: O(n d min(n, d) / 2 + min(n, d)^3). Memory: d x d in float64.
    Source: Jolliffe 2002, chapter 1.

    Args:
        k: number of directions.
        seed: decides nothing; every learner has one.
        centred: take the mean off first; otherwise directions of largest second moment (SVD).
        whiten: codes of unit variance (of unit second moment, uncentred).
    """

    name: ClassVar[str] = "pca"
    kind: ClassVar[str] = "direction"
    k: int = 20
    seed: int = 0
    centred: bool = True
    whiten: bool = False

    def begin(self, view: View) -> "_PCAFit":
        """Make room; see ``ConceptLearner.begin``.

        Raises:
            LearnError: more directions than dimensions.
        """
        if self.k > view.d:
            raise LearnError(
                f"cannot find {self.k} directions among {view.d} dimensions",
                allowed=f"k from 1 to {view.d}",
            )
        return _PCAFit(self, view)


class _PCAFit(Fitting):
    """The covariance, or all rows where these are fewer than the dimensions."""

    def __init__(self, options: PCA, view: View) -> None:
        self._options, self._n = options, len(view)
        self._mean = view.survey.mean.to(view.device)
        few = len(view) < view.d
        self._sum: _Covariance | _FewRows
        self._sum = _FewRows(len(view), view.d, view.device) if few else _Covariance(view)

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Add one chunk, around the mean."""
        for rows, places in zip(states.split(_STEP), numbers.split(_STEP), strict=True):
            self._sum.add(rows.double() - self._mean, places)

    def end_pass(self) -> bool:
        """One pass is enough."""
        return False

    def learned(self) -> Learned:
        """Decompose.

        Raises:
            LearnError: the rows do not vary, or whitening asks for variance that is not there.
        """
        options, mean = self._options, None if self._options.centred else self._mean
        vectors, variances, total = self._sum.directions(options.k, mean)
        largest = float(variances[0])
        if not largest > 0:
            raise LearnError(
                "all rows are equal" if options.centred else "every row is zero",
                remedy="look at the states: there is no direction to find",
            )
        real = variances > _NOTHING * largest
        variances = torch.where(real, variances, 0)
        rank = int(real.sum())
        if options.whiten and rank < options.k:
            raise LearnError(
                f"cannot whiten {options.k} directions: the rows vary in {rank} only",
                allowed=f"k from 1 to {rank}, or whiten=False",
            )
        scale = variances.rsqrt().float().cpu() if options.whiten else None
        kept = self._mean.float().cpu() if options.centred else None
        encoder = Projection(mean=kept, scale=scale)
        report = _report(variances, total, self._n, rank)
        return Learned(_signed(vectors).float(), "direction", (), report, encoder)


def _report(variances: Tensor, total: float, n: int, rank: int) -> dict[str, Any]:
    rest = max(0.0, total - float(variances.sum()))
    return {
        "objective": n * rest,
        "relative_error": (rest / total) ** 0.5,
        "iterations": 1,
        "converged": True,
        "explained_variance": variances.tolist(),
        "explained_share": (variances / total).tolist(),
        "rank": rank,
    }


class _Covariance:
    """d x d, summed block by block."""

    def __init__(self, view: View) -> None:
        n, d = len(view), view.d
        self._n = n
        self._sums = torch.zeros(d, d, dtype=torch.float64, device=view.device)
        self._exact = n * d * d <= _EXACT_WORK
        self._edges = [round(d * part / _PARTS) for part in range(_PARTS + 1)]

    def add(self, centred: Acts, numbers: Tensor) -> None:  # noqa: ARG002 rows are not told apart
        """Add rows, float64, with the mean taken off."""
        rows = centred if self._exact else centred.float()
        for left, right in zip(self._edges, self._edges[1:], strict=False):
            self._sums[left:right, left:] += rows[:, left:right].T @ rows[:, left:]

    def directions(self, k: int, mean: Tensor | None) -> tuple[Vectors, Tensor, float]:
        """Directions, their variances (largest first), and the sum of all variances.

        Args:
            k: how many.
            mean: added back where second moments are meant.
        """
        upper = self._sums.triu_()
        whole = upper.add_(upper.triu(1).T).div_(self._n)
        if mean is not None:
            whole.addr_(mean, mean)
        total = float(whole.diagonal().sum())
        values, vectors = leading(whole, k)
        return vectors.T, values.clamp_min(0), total


class _FewRows:
    """All rows: fewer numbers than a covariance has."""

    def __init__(self, n: int, d: int, device: torch.device) -> None:
        self._rows = torch.zeros(n, d, dtype=torch.float64, device=device)

    def add(self, centred: Acts, numbers: Tensor) -> None:
        """Keep rows, float64, with the mean taken off."""
        self._rows[numbers.to(self._rows.device)] = centred

    def directions(self, k: int, mean: Tensor | None) -> tuple[Vectors, Tensor, float]:
        """See ``_Covariance.directions``."""
        rows = self._rows if mean is None else self._rows + mean
        n = len(rows)
        values, left = leading(rows @ rows.T / n, k)
        values = values.clamp_min(0)
        vectors = left.T @ rows
        total = float(rows.square().sum()) / n
        real = values > _NOTHING * values[0]
        return _completed(vectors[real], k), values, total


def leading(matrix: Symmetric, k: int) -> tuple[Tensor, Tensor]:
    """The k largest eigenvalues (k,) of a symmetric matrix, falling, and eigenvectors (m, k).

    Large matrices by block Krylov subspaces, restarted until the eigenvectors are as good as those
    of a whole decomposition; where that is not soon, or k is not small, by a whole one.
    """
    block = k + _SPARE
    if len(matrix) > _SMALL and block * (_DEPTH + 1) < len(matrix) // 4:
        found = _krylov(matrix, k, block)
        if found is not None:
            return found
    values, vectors = torch.linalg.eigh(matrix)
    return values[-k:].flip(0), vectors[:, -k:].flip(1)


def _krylov(matrix: Symmetric, k: int, block: int) -> tuple[Tensor, Tensor] | None:
    random = torch.Generator().manual_seed(0)
    start = torch.randn(len(matrix), block, generator=random, dtype=torch.float64)
    newest = torch.linalg.qr(start.to(matrix.device)).Q
    for _ in range(_RESTARTS):
        basis = newest
        for _ in range(_DEPTH):
            newest = matrix @ newest
            # Twice is enough for orthogonality to the last digit; after QR again for lost ranks.
            for _ in range(2):
                newest = torch.linalg.qr(newest - basis @ (basis.T @ newest)).Q
            basis = torch.cat((basis, newest), dim=1)
        images = matrix @ basis
        values, inside = torch.linalg.eigh(basis.T @ images)
        newest, images = basis @ inside[:, -block:], images @ inside[:, -block:]
        misses = (images - newest * values[-block:])[:, -k:].norm(dim=0)
        if float(misses.max()) <= _AS_GOOD * float(values[-1].abs()):
            return values[-k:].flip(0), newest[:, -k:].flip(1)
    return None


def _completed(vectors: Float[Tensor, "some d"], k: int) -> Vectors:
    """Orthonormal rows: those given, nearly orthogonal ones, and arbitrary others up to k."""
    random = torch.Generator().manual_seed(0)
    more = torch.randn(k - len(vectors), vectors.shape[1], generator=random, dtype=vectors.dtype)
    lengths = vectors.norm(dim=1, keepdim=True)
    rows = torch.cat((vectors / lengths, more.to(vectors.device)))
    return torch.linalg.qr(rows.T).Q.T


def _signed(vectors: Vectors) -> Vectors:
    largest = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * vectors.gather(1, largest).sign()
