"""``Flow``: where the samples of each base concept lie among the concepts of the tuned model.

The same samples fall into both dictionaries. How they are shared out is a fact about this pair of
dictionaries; two runs of one learner on one model already disagree a good deal, so what is read
from it (split, merged, ...) is a description, and ``kinds`` says which of it refits confirm.
"""

from dataclasses import dataclass
from typing import Any

from shiftlens.core.shapes import Assignment
from shiftlens.shift.fates import KEPT, MERGED, MIXED, SPLIT, VANISHED, fate_of
from shiftlens.shift.matching import shared

BORN, PIECE = "born", "piece"

_SEEN_FROM_TUNED = {KEPT: KEPT, VANISHED: BORN, SPLIT: MERGED, MERGED: PIECE, MIXED: MIXED}


@dataclass(frozen=True)
class Flow:
    """Samples that belong to each base concept and each tuned one.

    Attributes:
        counts: for each base concept, samples in each tuned concept.
        base: for each base concept ``kept``, ``split``, ``merged``, ``vanished`` or ``mixed``, by
            the rule of ``fate``.
        tuned: for each tuned concept ``kept``, ``born`` (its samples come from everywhere),
            ``merged`` (from several concepts that are mostly in it), ``piece`` (of one or two
            larger concepts) or ``mixed``: the same rule, seen from the other side.
    """

    counts: tuple[tuple[int, ...], ...]
    base: tuple[str, ...]
    tuned: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "counts": [list(row) for row in self.counts],
            "base": list(self.base),
            "tuned": list(self.tuned),
        }


def flow(labels: Assignment, others: Assignment, k: int, other: int) -> Flow:
    """Count samples by their concept on either side.

    Args:
        labels: (n,) base concept of each sample.
        others: (n,) tuned concept of the same samples.
        k: number of base concepts; ``other`` of tuned ones.
        other: see ``k``.

    Raises:
        MismatchError: the two sides do not label the same samples.
    """
    table = shared(labels, others, k, other)
    rows, columns = table.sum(dim=1), table.sum(dim=0)
    return Flow(
        tuple(tuple(int(n) for n in row) for row in table.tolist()),
        tuple(fate_of(row, columns) for row in table),
        tuple(_SEEN_FROM_TUNED[fate_of(column, rows)] for column in table.T),
    )
