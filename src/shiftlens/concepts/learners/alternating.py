"""Z ~ V U with V >= 0, by turns: codes for fixed vectors, vectors for fixed codes.

data Z (n, d), codes V (n, k), vectors U (k, d). What semi-NMF and sparse coding share, for data in
memory; ``factoring`` brings data of any size here.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.nonnegative import Gram, sweep
from shiftlens.core.shapes import Acts, Codes, Vectors

_WINDOW = 5
"""Iterations over which progress is averaged: single ones are uneven."""
_FEW_SWEEPS, _MANY_SWEEPS = 2, 8
"""Sweeps for codes in an iteration. Without a penalty concepts become nearly parallel and codes are
slow to settle: more of them reach lower objectives in the same time."""
_PROXIMAL = 1e-12
"""Pull towards the old vectors, as a share of the mean square of the codes: what singular codes
leave open stays as it was."""


@dataclass(frozen=True)
class Problem:
    """min ||Z - V U||_F^2 + penalty * sum(V) over V >= 0.

    Attributes:
        penalty: price of one unit of a code. With a price the vectors are held to ``||u_k|| <= 1``,
            or else codes could shrink at no cost; without one their lengths are arbitrary, and 1.
    """

    penalty: float = 0.0

    @property
    def sweeps(self) -> int:
        """Rounds of coordinate descent for the codes in one iteration."""
        return _FEW_SWEEPS if self.penalty > 0 else _MANY_SWEEPS

    def objective(self, square: float, codes: "CodeMoments", vectors: Vectors) -> float:
        """Value for vectors and the moments of codes; ``square`` is ||Z||_F^2."""
        fit = (codes.second * (vectors @ vectors.T)).sum() - 2 * (codes.cross * vectors).sum()
        return max(0.0, square + float(fit)) + self.penalty * codes.total

    def vectors(self, codes: "CodeMoments", vectors: Vectors) -> Vectors:
        """Better vectors for fixed codes: the best ones without a penalty.

        Vectors of concepts that no row uses stay as they are.
        """
        if self.penalty > 0:
            return _bounded(codes.second, codes.cross, vectors)
        second = codes.second
        pull = torch.eye(len(second), dtype=second.dtype, device=second.device)
        pull = pull * (_PROXIMAL * second.diagonal().mean())
        if not bool(second.diagonal().any()):
            return vectors
        return torch.linalg.solve(second + pull, codes.cross + pull @ vectors)


@dataclass(frozen=True)
class CodeMoments:
    """All that vectors need to know of codes.

    Attributes:
        second: V^T V.
        cross: V^T Z.
        total: sum of V.
    """

    second: Gram
    cross: Vectors
    total: float

    @classmethod
    def of(cls, codes: Codes, data: Acts) -> "CodeMoments":
        """Moments of codes in memory."""
        return cls(codes.T @ codes, codes.T @ data, float(codes.sum()))

    def scaled(self, lengths: Float[Tensor, " k"]) -> "CodeMoments":
        """Moments of ``codes * lengths``; the total is not known any more."""
        second = self.second * lengths * lengths[:, None]
        return replace(self, second=second, cross=self.cross * lengths[:, None], total=float("nan"))


@dataclass(frozen=True)
class Factors:
    """Where an alternation stands.

    Attributes:
        vectors: (k, d), each of length one.
        codes: (n, k).
        history: objective after each iteration; never rises.
        converged: progress fell below the tolerance.
    """

    vectors: Vectors
    codes: Codes
    history: tuple[float, ...]
    converged: bool = False

    @property
    def objective(self) -> float:
        """The objective now."""
        return self.history[-1]


def unit(vectors: Vectors) -> tuple[Vectors, Float[Tensor, " k"]]:
    """Vectors of length one, and the lengths that they had; 1 for a vector that is zero."""
    lengths = vectors.norm(dim=1)
    lengths = torch.where(lengths > 0, lengths, 1)
    return vectors / lengths[:, None], lengths


def begin(data: Acts, square: float, vectors: Vectors, problem: Problem) -> Factors:
    """First codes for given vectors."""
    vectors, _ = unit(vectors)
    codes = torch.zeros(len(data), len(vectors), dtype=data.dtype, device=data.device)
    codes = sweep(
        codes,
        data @ vectors.T,
        vectors @ vectors.T,
        penalty=problem.penalty,
        times=2 * problem.sweeps,
    )
    value = problem.objective(square, CodeMoments.of(codes, data), vectors)
    return Factors(vectors, codes, (value,))


def alternate(
    data: Acts, square: float, factors: Factors, problem: Problem, *, tol: float, max_iter: int
) -> Factors:
    """Go on from where the factors stand.

    Each iteration improves the codes by coordinate descent and then the vectors; both start from
    a point beyond the last one, in the direction of the last step. A step that would raise the
    objective is not taken, and the next one starts from the last point itself.

    Args:
        data: (n, d), float64.
        square: ||Z||_F^2, which may hold a part outside the coordinates of ``data``.
        factors: vectors, codes and history so far.
        problem: what is minimised.
        tol: stop when an iteration lowers the objective by less than this share of it, on average.
        max_iter: iterations at most.

    Source: extrapolation for alternating updates, Ang and Gillis 2019 (Neural Computation 31).
    """
    stride = Stride()
    vectors, codes, history = factors.vectors, factors.codes, list(factors.history)
    ahead_vectors, ahead_codes = vectors, codes
    converged = False
    for _ in range(max_iter):
        new_codes = sweep(
            ahead_codes,
            data @ ahead_vectors.T,
            ahead_vectors @ ahead_vectors.T,
            penalty=problem.penalty,
            times=problem.sweeps,
        )
        beyond = (new_codes + stride.length * (new_codes - codes)).clamp_min(0)
        new_vectors = problem.vectors(CodeMoments.of(beyond, data), ahead_vectors)
        new_vectors, lengths = unit(new_vectors)
        new_codes, beyond = new_codes * lengths, beyond * lengths
        moments = CodeMoments.of(new_codes, data)
        value = problem.objective(square, moments, new_vectors)
        if value <= history[-1]:
            step = stride.length * (new_vectors - vectors)
            ahead_vectors, ahead_codes = unit(new_vectors + step)[0], beyond
            vectors, codes = new_vectors, new_codes
            vectors = revived(vectors, codes, moments, data, problem)
            if vectors is not new_vectors:
                ahead_vectors, ahead_codes = vectors, codes
            stride = stride.longer()
        else:
            ahead_vectors, ahead_codes = vectors, codes
            stride, value = stride.shorter(), history[-1]
        history.append(value)
        if _slow(history, tol, square):
            converged = True
            break
    return Factors(vectors, codes, tuple(history), converged)


@dataclass(frozen=True)
class Stride:
    """How far beyond the last point the next step starts, as a share of the last step."""

    length: float = 0.5
    most: float = 1.0
    last_good: float = 0.5

    def longer(self) -> "Stride":
        """After a step that was good."""
        return Stride(min(self.most, 1.05 * self.length), min(1.0, 1.01 * self.most), self.length)

    def shorter(self) -> "Stride":
        """After a step that went too far."""
        return Stride(self.length / 1.5, self.last_good, self.last_good)


def _slow(history: list[float], tol: float, square: float) -> bool:
    """Whether the last few iterations won too little, or there is nothing left to win."""
    now = history[-1]
    if now <= 1e-14 * square:
        return True
    if len(history) <= 2 * _WINDOW:
        return False
    return (history[-1 - _WINDOW] - now) / _WINDOW <= tol * now


def revived(
    vectors: Vectors, codes: Codes, moments: CodeMoments, data: Acts, problem: Problem
) -> Vectors:
    """Concepts that no row uses point to what is left of the rows that are served worst.

    The objective stays, as their codes are zero; the next codes lower it. Where nothing is left
    that pays the penalty, they stay as they were.
    """
    dead = moments.second.diagonal() <= 0
    if not bool(dead.any()):
        return vectors
    rest = data - codes @ vectors
    lengths = rest.norm(dim=1)
    worst = lengths.argsort(descending=True, stable=True)[: int(dead.sum())]
    return replaced(vectors, dead, rest[worst], problem)


def replaced(vectors: Vectors, dead: Tensor, rest: Acts, problem: Problem) -> Vectors:
    """Dead concepts take the rests of rows, longest first, that are long enough to pay."""
    lengths = rest.norm(dim=1)
    scale = float(lengths.max()) if len(lengths) else 0.0
    useful = rest[(lengths > problem.penalty / 2) & (lengths > 1e-7 * scale)]
    places = torch.nonzero(dead).flatten()[: len(useful)]
    if not len(places):
        return vectors
    changed = vectors.clone()
    changed[places] = unit(useful[: len(places)])[0]
    return changed


def _bounded(second: Gram, cross: Vectors, vectors: Vectors) -> Vectors:
    """One round of exact block coordinate descent over the vectors, each within the unit ball."""
    vectors = vectors.clone()
    lengths = second.diagonal()
    others = second - torch.diag(lengths)
    turned = vectors.T
    for concept in torch.nonzero(lengths > 0).flatten().tolist():
        best = torch.addmv(cross[concept], turned, others[concept], alpha=-1)
        torch.div(best, torch.maximum(best.norm(), lengths[concept]), out=vectors[concept])
    return vectors
