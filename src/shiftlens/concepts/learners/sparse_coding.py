"""Sparse non-negative coding: states as sums of few concepts.

acts Z (n, d), codes V (n, k), vectors U (k, d); see ``SparseCoding``.
"""

from dataclasses import dataclass
from typing import ClassVar

from shiftlens.concepts.learners.alternating import Problem
from shiftlens.concepts.learners.factoring import Effort, Factoring
from shiftlens.concepts.learners.learner import ConceptLearner, View, learners
from shiftlens.concepts.nonnegative import NonNegative


@learners.register("sparse-coding")
@dataclass(frozen=True)
class SparseCoding(ConceptLearner):
    """min ||Z - V U||_F^2 + penalty * sum(V) with V >= 0 and ||u_k|| <= 1.

    The objective of CoX-LMM (Parekh et al. 2024, who call it semi-NMF). Use when a
    state holds a few of many concepts: with a price on codes most of them are zero.

    Two conventions of the penalty are about. Ours has the squared error whole, as the paper prints
    it. scikit-learn, with which the paper's code learns, halves the squared error: its ``alpha`` is
    ``penalty`` with ``halved=True``, and both terms of the reported ``objective`` are scikit-
    learn's too. ``SparseCoding(penalty=1, halved=True)`` and ``SparseCoding(penalty=2)`` learn the
    same concepts.

    A row's code on a concept is zero unless the concept's product with what the others leave
    exceeds penalty / 2 in ours (penalty in the halved form): choose it with the length of the
    states in mind. Vectors have length one in the space (it always pays, as codes then cost less).

    Alternating coordinate descent for codes and for vectors, with extrapolation; see
    ``factoring`` for the stages and ``SemiNMF`` for cost, memory and the report.

    Args:
        k: number of concepts.
        seed: same seed, same bits on one device.
        penalty: price of one unit of a code.
        halved: the squared error counts half.
        n_starts: starts; the one with the lowest objective goes on.
        max_iter: iterations of a start at most.
        tol: stop when an iteration lowers the objective by less than this share of it; passes
            when one wins less than fifty times as much.
        space: see ``Space``.
        max_passes: passes over the rows at most, after the one that surveys them.
    """

    name: ClassVar[str] = "sparse-coding"
    kind: ClassVar[str] = "direction"
    k: int = 20
    seed: int = 0
    penalty: float = 1.0
    halved: bool = False
    n_starts: int = 3
    max_iter: int = 500
    tol: float = 1e-6
    space: str = "raw"
    max_passes: int = 20

    def begin(self, view: View) -> Factoring:
        """Search on a sample; see ``ConceptLearner.begin``."""
        penalty, share = (2 * self.penalty, 0.5) if self.halved else (self.penalty, 1.0)
        encoder = NonNegative(penalty=penalty)
        return Factoring(view, self.k, Problem(penalty), self._effort(), encoder, share)

    def _effort(self) -> Effort:
        return Effort(self.seed, self.n_starts, self.max_iter, self.max_passes, self.tol)
