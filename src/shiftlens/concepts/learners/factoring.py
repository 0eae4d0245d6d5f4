"""Factoring rows of any number: starts and most of the work on a sample, the rest in passes.

acts Z (n, d), codes V (n, k), vectors U (k, d). Three stages:

1. A sample of the rows (all of them, if they fit: see ``sampling``) is written in
   the r directions that hold most of it, r = 4 k and at least 64. Vectors that lie in these
   directions have the same objective there as in the residual stream, at a cost of r instead of d.
2. ``alternate`` runs from several starts there; the best goes on until it stops.
3. Passes over all rows, in the residual stream: exact codes for each chunk, then better vectors
   from V^T V and V^T Z, which are summed in float64. The first pass whose new vectors would win
   less than the tolerance is the last; its vectors are the ones that its codes belong to.

Passes start beyond the last vectors, as iterations do, and go back where that was too far. Only the
codes (n, k), in float32, are kept of the rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.alternating import (
    CodeMoments,
    Factors,
    Problem,
    Stride,
    alternate,
    begin,
    replaced,
    unit,
)
from shiftlens.concepts.learners.learner import Fitting, Learned, View
from shiftlens.concepts.learners.lloyd import Frame, Stop, plus_plus, run
from shiftlens.concepts.learners.sampling import draw
from shiftlens.concepts.nonnegative import NonNegative, nonnegative_codes
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts, Codes, Vectors

_HEAT = 10
"""Iterations that every start gets before all but the best are dropped."""
_LLOYD = 10
_EXACT_WORK = 2**32
"""Multiplications of a pass below which all products are taken in float64."""
_IN_VAIN = 2
"""Passes before the last that start from where the last vectors led, not from beyond."""
_PASS_WORTH = 50
"""A pass costs more than an iteration on the sample, and must win so many times more."""
_CODE_TOL = 1e-7


@dataclass(frozen=True)
class Effort:
    """How long to search.

    Attributes:
        seed: of the sample, the directions and the starts.
        n_starts: starts on the sample; the best after a few iterations goes on.
        max_iter: iterations of a start at most.
        max_passes: passes over all rows at most, after the sample.
        tol: stop when an iteration lowers the objective by less than this share of it; passes
            when one wins less than fifty times as much.
    """

    seed: int
    n_starts: int
    max_iter: int
    max_passes: int
    tol: float


class Factoring(Fitting):
    """A fit of Z ~ V U under way.

    Args:
        view: the rows.
        k: concepts.
        problem: what is minimised.
        effort: how long to search.
        encoder: of the result.
        share: what the objective is multiplied by when it is reported.

    Raises:
        LearnError: every row is zero in the space.
    """

    def __init__(
        self,
        view: View,
        k: int,
        problem: Problem,
        effort: Effort,
        encoder: NonNegative,
        share: float = 1.0,
    ) -> None:
        self._problem, self._effort, self._encoder, self._share = problem, effort, encoder, share
        search = _Search(view, k, problem, effort)
        self._start = search.run()
        self._vectors = self._start.vectors
        self._codes = torch.zeros(len(view), k, device=view.device)
        self._exact = len(view) * view.d * k <= _EXACT_WORK
        self._pass, self._passes = _Pass(self._vectors, self._exact), 0
        self._history: list[float] = []
        self._safe, self._stride = self._vectors.double(), Stride()
        self._converged = False

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Codes of one chunk, and what the vectors need of them."""
        places = numbers.to(self._codes.device)
        codes = self._pass.see(states, self._codes[places], self._problem)
        self._codes[places] = codes

    def end_pass(self) -> bool:
        """Better vectors, if they win enough to be worth another pass."""
        seen, self._passes = self._pass, self._passes + 1
        left = self._effort.max_passes - self._passes
        value = seen.rest + self._problem.penalty * seen.total
        if self._history and value > self._history[-1] + seen.rounding and left > 0:
            self._stride = self._stride.shorter()
            return self._go_on(self._safe)
        self._history.append(value)
        vectors, revived = self._improved(seen.moments())
        won = self._value(self._vectors.double()) - self._value(vectors)
        enough = _PASS_WORTH * self._effort.tol * value + seen.rounding
        self._converged = won <= enough and not revived
        if self._converged or left <= 0:
            return False
        vectors, lengths = unit(vectors)
        self._codes *= lengths.float()
        before, self._safe = self._safe, vectors
        # The last pass must not be one that could be in vain.
        if revived or left < _IN_VAIN:
            return self._go_on(vectors)
        ahead = unit(vectors + self._stride.length * (vectors - before))[0]
        self._stride = self._stride.longer()
        return self._go_on(ahead)

    def _go_on(self, vectors: Vectors) -> bool:
        self._vectors = vectors.float()
        self._pass = _Pass(self._vectors, self._exact)
        return True

    def _value(self, vectors: Vectors) -> float:
        """Objective of vectors with the codes of the pass."""
        return self._problem.objective(self._pass.square, self._pass.moments(), vectors)

    def learned(self) -> Learned:
        """The vectors of the last pass, whose codes are known."""
        return Learned(self._vectors, "direction", (), self._report(), self._encoder)

    def _improved(self, moments: CodeMoments) -> tuple[Vectors, bool]:
        """Better vectors, and whether a dead one was given something to do."""
        vectors = self._vectors.double()
        better = self._problem.vectors(moments, vectors)
        idle = moments.second.diagonal() <= 0
        if not bool(idle.any()):
            return better, False
        revived = replaced(better, idle, self._pass.worst().double(), self._problem)
        return revived, revived is not better

    def _report(self) -> dict[str, Any]:
        seen = self._pass
        return {
            "objective": self._share * self._history[-1],
            "relative_error": (seen.rest / seen.square) ** 0.5,
            "iterations": len(self._start.factors.history) - 1,
            "passes": self._passes,
            "converged": self._converged and self._start.factors.converged,
            "history": [self._share * value for value in self._history],
            "start_objectives": [self._share * value for value in self._start.values],
            "sampled_rows": self._start.rows,
            "zero_codes": float((self._codes == 0).double().mean()),
        }


class _Pass:
    """Sums of one pass over the rows.

    Attributes:
        square: ||Z||_F^2.
        rest: ||Z - V U||_F^2.
        total: sum of V.
    """

    def __init__(self, vectors: Vectors, exact: bool) -> None:
        k, d = vectors.shape
        self._vectors = vectors
        self._type = torch.float64 if exact else torch.float32
        self._gram = vectors.double() @ vectors.double().T
        self._second = torch.zeros(k, k, dtype=torch.float64, device=vectors.device)
        self._cross = torch.zeros(k, d, dtype=torch.float64, device=vectors.device)
        self._rests = torch.zeros(0, d, device=vectors.device)
        self.square = self.rest = self.total = 0.0

    @property
    def rounding(self) -> float:
        """Differences of objectives below this are rounding of products."""
        return self.square * (1e-12 if self._type is torch.float64 else 1e-8)

    def see(self, states: Acts, codes: Codes, problem: Problem) -> Codes:
        """Best codes of a chunk, from the ones given; counted into the sums."""
        precise = states.to(self._type)
        products = (precise @ self._vectors.T.to(self._type)).double()
        kept = nonnegative_codes(
            products, self._gram, penalty=problem.penalty, start=codes.double(), tol=_CODE_TOL
        ).float()
        best = kept.double()
        lengths = _squares(precise)
        rests = lengths + (best @ self._gram * best).sum(dim=1) - 2 * (best * products).sum(dim=1)
        self.square += float(lengths.sum())
        self.rest += float(rests.clamp_min(0).sum())
        self.total += float(best.sum())
        self._second += best.T @ best
        self._cross += (best.T.to(self._type) @ precise).double()
        self._keep_worst(states, kept, rests)
        return kept

    def moments(self) -> CodeMoments:
        """What the vectors need of the codes."""
        return CodeMoments(self._second, self._cross, self.total)

    def worst(self) -> Acts:
        """What is left of the rows that are served worst, at most k."""
        return self._rests

    def _keep_worst(self, states: Acts, codes: Codes, rests: Tensor) -> None:
        """For dead concepts, which are known at the end of a pass only."""
        few = rests.argsort(descending=True, stable=True)[: len(self._gram)]
        found = torch.cat((self._rests, states[few] - codes[few] @ self._vectors))
        order = found.norm(dim=1).argsort(descending=True, stable=True)
        self._rests = found[order[: len(self._gram)]]


@dataclass(frozen=True)
class _Start:
    """What the sample led to: vectors (k, d) float32, and how."""

    vectors: Vectors
    factors: Factors
    values: tuple[float, ...]
    rows: int


class _Search:
    """Starts on a sample of the rows, in the directions that hold most of it."""

    def __init__(self, view: View, k: int, problem: Problem, effort: Effort) -> None:
        self._k, self._problem, self._effort = k, problem, effort
        self._rng = np.random.default_rng(effort.seed)
        sample = draw(view, k, self._rng).rows
        self._rows = len(sample)
        self._square = float(_squares(sample).sum())
        if not self._square > 0:
            raise _nothing_left(view, self._rows)
        self._basis = _basis(sample, max(64, 4 * k), effort.seed)
        self._data = (sample if self._basis is None else sample @ self._basis).double()

    def run(self) -> _Start:
        """The best of all starts, iterated until it stops."""
        effort = self._effort
        first = min(_HEAT, effort.max_iter)
        warm = [self._iterated(self._first(), first) for _ in range(effort.n_starts)]
        best = min(warm, key=lambda factors: factors.objective)
        if not best.converged:
            best = self._iterated(best, effort.max_iter - first)
        values = tuple(factors.objective for factors in warm)
        vectors = best.vectors if self._basis is None else best.vectors @ self._basis.T.double()
        return _Start(unit(vectors)[0].float(), best, values, self._rows)

    def _iterated(self, factors: Factors, times: int) -> Factors:
        return alternate(
            self._data,
            self._square,
            factors,
            self._problem,
            tol=self._effort.tol,
            max_iter=times,
        )

    def _first(self) -> Factors:
        return begin(self._data, self._square, self._centroids(), self._problem)

    def _centroids(self) -> Vectors:
        """Means of groups of rows, after a few iterations of k-means."""
        data = self._data
        lengths = _squares(data)
        start = plus_plus(data, lengths, self._k, self._rng)
        frame = Frame(torch.zeros_like(data[0]))
        return run(data, start, frame, Stop(_LLOYD, 0.0), lengths).centroids


def _nothing_left(view: View, looked_at: int) -> LearnError:
    """The error for rows that are all the origin of the space."""
    n, name = len(view), view.space.name
    some = (
        f"{looked_at} of {n} states were looked at, and all" if looked_at < n else f"all {n} states"
    )
    if name in ("raw", "unit"):
        return LearnError(
            f"{some} are zero: no direction is active on them",
            remedy="take another position or layer",
        )
    return LearnError(
        f"{some} are the mean state: nothing is left of them in the space {name!r}",
        allowed="'raw', where concepts may hold the mean",
        remedy='learn in space="raw", or take another position or layer',
    )


def _squares(states: Acts) -> Tensor:
    """Squared length of each row in float64, with no copy of the rows."""
    return states.norm(dim=1).double().square()


def _basis(sample: Acts, width: int, seed: int) -> Tensor | None:
    """Orthonormal directions (d, width) that hold most of the sample; None where all are needed.

    Source: randomised range finder with one power iteration, Halko, Martinsson and Tropp 2011.
    """
    n, d = sample.shape
    width = min(width, n)
    if width >= d:
        return None
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(n, width, generator=random).to(sample.device)
    basis = torch.linalg.qr(sample.T @ mix).Q
    return torch.linalg.qr(sample.T @ (sample @ basis)).Q
