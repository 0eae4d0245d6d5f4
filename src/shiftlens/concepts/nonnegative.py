"""Non-negative codes: the smallest error of a row with concepts that can only be added.

acts (n, d), vectors (k, d), codes (n, k). For each row z of its own

    min over v >= 0 of  ||z - v U||^2 + penalty * sum(v)

which is convex, and asks for ``z U^T`` and ``U U^T`` only: after one product the work is k x k.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shiftlens.concepts.encoders import Encoder, encoders
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts, Codes, Vectors

Gram = Float[Tensor, "k k"]
Violations = Float[Tensor, " n"]

_BURST = 8
"""Sweeps between two looks at the conditions."""
_PATIENCE = 64
"""Sweeps before rows that are not done get an exact step."""
_RIDGE = 1e-13
"""Keeps exact steps solvable where concepts are equal; a share of their squared length."""
_BLOCK = 2**17
"""Codes that are worked on at a time: they stay in the cache of a core."""
_SYSTEMS = 2**22
"""Numbers in the systems of an exact step at most: 32 MB."""


class UnfinishedCodes(UserWarning):
    """Codes whose conditions of optimality do not hold to the tolerance that was asked for."""


def nonnegative_codes(
    products: Codes,
    gram: Gram,
    *,
    penalty: float = 0.0,
    start: Codes | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
) -> Codes:
    """Best non-negative codes of each row.

    Coordinate descent from zero (or from ``start``), one concept after the other for all rows at
    once; rows that it does not finish soon get exact steps on the concepts that are active.
    Neither ever raises the objective. A row stops when its own conditions hold, so its codes do
    not depend on the rows beside it but through the rounding of the products.

    Cost: O(k^2) a row and sweep; 5 to 20 sweeps where concepts are not nearly parallel.
    Source: coordinate descent for the lasso, Friedman, Hastie and Tibshirani 2010, section 2;
    exact steps as in Lawson and Hanson 1974, chapter 23.

    Args:
        products: (n, k), scalar products of states and concepts; float64 for exact codes.
        gram: (k, k), scalar products of concepts.
        penalty: what one unit of a code costs, beside the squared error (not half of it).
        start: codes to begin with; not changed.
        tol: stop when ``violations`` are at most this.
        max_iter: sweeps at most.

    Returns:
        codes in the type of ``products``. Where concepts are linearly dependent, one of many best
        ones. A concept of length zero has the code zero.
    """
    codes = torch.zeros_like(products) if start is None else start.clone()
    target = products - penalty / 2
    rows = max(1, _BLOCK // max(1, len(gram)))
    for begin in range(0, len(products), rows):
        block = slice(begin, begin + rows)
        codes[block] = _solve(codes[block], target[block], gram, tol, max_iter)
    return codes


def violations(codes: Codes, products: Codes, gram: Gram, *, penalty: float = 0.0) -> Violations:
    """How far each row is from its optimum (n,): 0 where the Karush-Kuhn-Tucker conditions hold.

    These are ``v >= 0``, ``g >= 0`` and ``v g = 0``, with g half the gradient, ``v G - z U^T +
    penalty / 2``. Returned is the largest ``|min(v_j |u_j|, g_j / |u_j|)|`` over the concepts,
    as a share of the row's largest projection on a concept; free of the scales of both.
    """
    return _violations(codes.T, (products - penalty / 2).T, gram)


def sweep(codes: Codes, products: Codes, gram: Gram, *, penalty: float = 0.0, times: int) -> Codes:
    """A few rounds of coordinate descent: better codes than those given, not the best ones."""
    turned = codes.T.contiguous()
    _descend(turned, (products - penalty / 2).T.contiguous(), gram, times)
    return turned.T.contiguous()


def _solve(codes: Codes, target: Codes, gram: Gram, tol: float, max_iter: int) -> Codes:
    """Rows of one block until each is done; (n, k), turned inside so that a concept is a row."""
    turned, target = codes.T.contiguous(), target.T.contiguous()
    turned[~(gram.diagonal() > 0)] = 0
    open_rows, spent = torch.arange(turned.shape[1], device=codes.device), 0
    current, wanted = turned.clone(), target
    while len(open_rows) and spent < min(_PATIENCE, max_iter):
        times = min(_BURST, max_iter - spent)
        _descend(current, wanted, gram, times)
        spent += times
        turned[:, open_rows] = current
        bad = _violations(current, wanted, gram) > tol
        open_rows, current, wanted = open_rows[bad], current[:, bad], wanted[:, bad]
    for rows in _blocks(len(open_rows), max(1, _SYSTEMS // len(gram) ** 2)):
        walked = _walk(current[:, rows].T, wanted[:, rows].T, gram, tol, max_iter - spent)
        turned[:, open_rows[rows]] = walked.T
    return turned.T


def _descend(codes: Tensor, target: Tensor, gram: Gram, times: int) -> None:
    """Coordinate descent in place; codes and target are (k, n)."""
    steps = _inverse(gram.diagonal())
    scaled = gram * steps[:, None]
    wanted = target * steps[:, None]
    for _ in range(times):
        for concept, row in enumerate(scaled):
            # The best value of this code, the others held: its own part is added back.
            move = torch.addmv(wanted[concept], codes.T, row, alpha=-1)
            codes[concept].add_(move).clamp_min_(0)


def _violations(codes: Tensor, target: Tensor, gram: Gram) -> Violations:
    lengths = gram.diagonal().sqrt()[:, None]
    inverse = _inverse(lengths)
    gradient = (gram @ codes - target) * inverse
    worst = torch.minimum(codes * lengths, gradient).abs().amax(dim=0)
    scale = (target * inverse).abs().amax(dim=0)
    return torch.where(worst > 0, worst / scale, 0)


def _walk(codes: Codes, target: Codes, gram: Gram, tol: float, times: int) -> Codes:
    """From face to face to the optimum; each step is exact on the face of the active concepts.

    Where a step would turn codes negative it ends at the first, which becomes inactive; otherwise
    the concept that most wants to become active does.
    """
    done, open_rows = codes.clone(), torch.arange(len(codes), device=codes.device)
    active = codes > 0
    for _ in range(times):
        codes, stopped = _exact_step(codes, target, gram, active)
        done[open_rows] = codes
        wanting = _wanting(codes, target, gram, active, tol)
        wanting[stopped] = -1
        active[wanting >= 0, wanting[wanting >= 0]] = True
        going = stopped | (wanting >= 0)
        if not bool(going.any()):
            break
        open_rows, codes, target = open_rows[going], codes[going], target[going]
        active = active[going]
    return done


def _exact_step(
    codes: Codes, target: Codes, gram: Gram, active: Bool[Tensor, "n k"]
) -> tuple[Codes, Bool[Tensor, " n"]]:
    """Best codes of the active concepts, or the way there until one turns negative (dropped)."""
    both = active[:, :, None] & active[:, None, :]
    systems = torch.where(both, gram, 0)
    diagonal = torch.where(active, gram.diagonal() * (1 + _RIDGE), 1)
    systems.diagonal(dim1=1, dim2=2).copy_(diagonal)
    best, info = torch.linalg.solve_ex(systems, torch.where(active, target, 0))
    usable = (info == 0) & torch.isfinite(best).all(dim=1)
    towards = torch.where(usable[:, None], best, codes) - codes
    shares = torch.where(active & (towards < 0), codes / -towards, torch.inf)
    first = shares.min(dim=1)
    stopped = first.values < 1
    moved = (codes + first.values.clamp_max(1)[:, None] * towards).clamp_min(0)
    moved[stopped, first.indices[stopped]] = 0
    active[stopped, first.indices[stopped]] = False
    return torch.where(active, moved, 0), stopped


def _wanting(
    codes: Codes, target: Codes, gram: Gram, active: Bool[Tensor, "n k"], tol: float
) -> Int[Tensor, " n"]:
    """The inactive concept that would help each row most, or -1 where none would."""
    inverse = _inverse(gram.diagonal().sqrt())
    gain = torch.where(active, 0, (target - codes @ gram) * inverse)
    best = gain.max(dim=1)
    enough = tol * (target * inverse).abs().amax(dim=1)
    return torch.where(best.values > enough, best.indices, -1)


def _inverse(lengths: Tensor) -> Tensor:
    return torch.where(lengths > 0, 1 / lengths, 0)


def _blocks(n: int, size: int) -> Iterator[slice]:
    for begin in range(0, n, size):
        yield slice(begin, begin + size)


@encoders.register("nonnegative")
@dataclass(frozen=True, eq=False)
class NonNegative(Encoder):
    """Codes >= 0 of the smallest error in the space, with a price on their sum.

    Codes that are all zero are legal: such a row belongs to no concept (-1). They arise where no
    concept points towards the state, or none far enough to pay the penalty.

    Rows are taken into the space and encoded in float64 until their conditions hold to ``tol``; a
    row's codes are the same beside other rows up to rounding, about 1e-12 of their size times the
    condition of the concepts.

    Attributes:
        penalty: price of one unit of a code beside the squared error, not half of it.
        tol: of the conditions of optimality, see ``violations``.
        max_iter: sweeps at most; codes that are not done by then raise a warning.
    """

    name: ClassVar[str] = "nonnegative"
    penalty: float = 0.0
    tol: float = 1e-8
    max_iter: int = 1000

    def __post_init__(self) -> None:
        require_solvable(self.penalty, self.tol, self.max_iter)

    def encode(self, acts: Acts, vectors: Vectors) -> Codes:
        """See ``Encoder.encode``.

        Warns:
            UnfinishedCodes: ``max_iter`` sweeps were not enough.
        """
        concepts = self.space.directions_into(vectors.to(acts.device).double())
        gram = concepts @ concepts.T
        codes = torch.empty(len(acts), len(vectors), device=acts.device)
        worst = 0.0
        for rows in _blocks(len(acts), max(1, _SYSTEMS // max(1, acts.shape[1]))):
            products = self.space.into(acts[rows], torch.float64) @ concepts.T
            best = nonnegative_codes(
                products, gram, penalty=self.penalty, tol=self.tol, max_iter=self.max_iter
            )
            worst = max(worst, float(violations(best, products, gram, penalty=self.penalty).max()))
            codes[rows] = best.float()
        if worst > self.tol:
            warnings.warn(
                f"codes miss the conditions of optimality by {worst:.1g}, not {self.tol:.1g}, "
                f"after {self.max_iter} sweeps: raise max_iter or tol",
                UnfinishedCodes,
                stacklevel=2,
            )
        return codes

    def reconstruct(self, codes: Codes, vectors: Vectors) -> Acts:
        """See ``Encoder.reconstruct``."""
        concepts = self.space.directions_into(vectors.to(codes.device))
        return self.space.out_of(codes @ concepts)

    def settings(self) -> dict[str, Any]:
        """See ``Encoder.settings``."""
        return {"penalty": self.penalty, "tol": self.tol, "max_iter": self.max_iter}


def require_solvable(penalty: float, tol: float, max_iter: int) -> None:
    """One clear error for options that make no sense.

    Raises:
        LearnError: a negative or infinite penalty, a tolerance below 0, no iteration at all.
    """
    if not 0 <= penalty < float("inf"):
        raise LearnError(f"penalty={penalty}", allowed="0 or a positive number")
    if not 0 <= tol < float("inf"):
        raise LearnError(f"tol={tol}", allowed="0 or a positive number")
    if max_iter < 1:
        raise LearnError(f"max_iter={max_iter}", allowed="1 or more")
