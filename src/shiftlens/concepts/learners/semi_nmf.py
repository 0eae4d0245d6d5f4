"""Semi-NMF: states as sums of concepts, in amounts that are never negative.

acts Z (n, d), codes V (n, k), vectors U (k, d); see ``SemiNMF``.
"""

from dataclasses import dataclass
from typing import ClassVar

from shiftlens.concepts.learners.alternating import Problem
from shiftlens.concepts.learners.factoring import Effort, Factoring
from shiftlens.concepts.learners.learner import ConceptLearner, View, learners
from shiftlens.concepts.nonnegative import NonNegative


@learners.register("semi-nmf")
@dataclass(frozen=True)
class SemiNMF(ConceptLearner):
    """min ||Z - V U||_F^2 with V >= 0 and U of any sign (Ding, Li and Jordan 2010).

    Use when a state may hold several concepts at once, and none may be taken away. Without a price
    on codes they are dense: most concepts are a little active on most rows. Where all states lie
    on one side of the origin, as with a large common mean, the best error is that of an SVD of the
    same k and many solutions share it: ``space="centred"``, or ``SparseCoding``, narrow them down.

    Alternating exact least squares for U and coordinate descent with exact last steps for V, with
    extrapolation, in place of Ding's multiplicative updates: a test holds it to an objective at
    most that of theirs. Starts are k-means centroids, as Ding advises.

    Often ends with ``converged`` false: without a price concepts can turn together for a long time
    while the objective falls by a few millionths an iteration. Four times as many iterations win
    less than a thousandth of it; where the flag matters, ``tol=1e-5`` stops earlier, 1 to 2 per
    cent higher.

    Cost: O(n k (d + k)) a pass over the rows, and as much for 100 iterations on a sample where d is
    large. Memory: codes (n, k) and a sample of 256 MB.

    The report holds: ``objective``; ``relative_error`` (||Z - V U||_F / ||Z||_F, in the space);
    ``iterations`` and ``start_objectives`` (after a few iterations) on the sample of
    ``sampled_rows``; ``passes`` and ``history`` (objective of each) over all rows; ``converged``;
    ``zero_codes`` (a share), ``rows_without_concept`` (a number).

    Args:
        k: number of concepts.
        seed: same seed, same bits on one device.
        n_starts: starts; the one with the lowest objective goes on.
        max_iter: iterations of a start at most.
        tol: stop when an iteration lowers the objective by less than this share of it; passes
            when one wins less than fifty times as much.
        space: see ``Space``.
        max_passes: passes over the rows at most, after the one that surveys them.
    """

    name: ClassVar[str] = "semi-nmf"
    kind: ClassVar[str] = "direction"
    k: int = 20
    seed: int = 0
    n_starts: int = 3
    max_iter: int = 1000
    tol: float = 1e-6
    space: str = "raw"
    max_passes: int = 20

    def begin(self, view: View) -> Factoring:
        """Search on a sample; see ``ConceptLearner.begin``."""
        return Factoring(view, self.k, Problem(), self._effort(), NonNegative())

    def _effort(self) -> Effort:
        return Effort(self.seed, self.n_starts, self.max_iter, self.max_passes, self.tol)
