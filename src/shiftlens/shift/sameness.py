"""Is the matched concept still the same? Similarity across models beside similarity within one.

Concepts of two halves of the samples differ even under one model. So the base's concepts from one
half are matched with the tuned model's from the other half, and beside that with the base's own
from the other half; what the first match lacks against the second is the *drop*. Each side is
centred on the mean of its own half, because states share a direction that flatters every cosine;
halves are drawn anew, and the learner runs again, every time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.intervals import Interval, percentile
from shiftlens.core.progress import Progress, Silent
from shiftlens.shift.halves import cut
from shiftlens.shift.matching import bijective, shared, shared_partners, similarity
from shiftlens.shift.refits import Split, again

_SAME = 0.5  # Jaccard overlap from which a refit's concept is the reference concept
_FEWEST = 10  # halves that found a concept, for an interval


@dataclass(frozen=True)
class Sameness:
    """How alike a concept and its match are, across models and within the base.

    Attributes:
        across: mean centred cosine with the match in the tuned model, from the other half.
        within: the same with the match in the base itself: what noise leaves of 1.
        drop: within minus across, with its interval over halves and refits; ``None`` where refits
            seldom find the concept again.
    """

    across: float
    within: float
    drop: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        drop = None if self.drop is None else self.drop.to_dict()
        return {"across": self.across, "within": self.within, "drop": drop}


def sameness(
    split: Split,
    learner: ConceptLearner,
    learned: Learned,
    *,
    seed: int = 0,
    draws: int = 60,
    progress: Progress | None = None,
) -> list[Sameness]:
    """Compare matched concepts across models with matched concepts of one model.

    Args:
        split: states of the estimation and the judging part; halves are cut from both together.
        learner: run three times for every pair of halves, with the same k on each side.
        learned: the reference concepts.
        seed: of the halves and the refits.
        draws: how many pairs of halves.
        progress: who is told.
    """
    rng, listener = np.random.default_rng([seed, 29]), progress or Silent()
    base = torch.cat([split.base, split.judging_base])
    tuned = base + torch.cat([split.delta, split.judging_delta])
    groups = torch.cat([split.groups, split.judging_groups + int(split.groups.max()) + 1]).numpy()
    reference, k = learned.assign(base), len(learned.vectors)
    found = np.full((draws, 2, k), np.nan)
    listener.start("halves for sameness", draws)
    try:
        for draw in range(draws):
            one, other = (torch.from_numpy(half) for half in cut(groups, rng))
            sides = [base[one], tuned[other], base[other]]
            fits = [
                again(learner, seed * 100_003 + 3 * draw + number).fit(side)
                for number, side in enumerate(sides)
            ]
            middle = [side.mean(dim=0) for side in sides]
            mine = fits[0].vectors - middle[0]
            owner, _ = shared_partners(
                shared(reference, fits[0].assign(base), k, len(fits[0].vectors)), fewest=_SAME
            )
            for column in (0, 1):
                cosines = _matched(mine, fits[1 + column].vectors - middle[1 + column])
                for index, partner in enumerate(owner):
                    if partner is not None:
                        found[draw, column, index] = cosines[partner]
            listener.advance()
    finally:
        listener.stop()
    return [_sameness(found[:, :, index]) for index in range(k)]


def _matched(mine: Tensor, others: Tensor) -> list[float]:
    table, partners = similarity(mine, others), bijective(mine, others)
    return [float(table[i, j]) for i, j in enumerate(partners)]


def _sameness(values: np.ndarray) -> Sameness:
    known = values[np.isfinite(values).all(axis=1)]
    if not len(known):
        return Sameness(float("nan"), float("nan"), None)
    across, within = known.mean(axis=0).tolist()
    enough = len(known) >= _FEWEST
    drop = percentile(known[:, 1] - known[:, 0], within - across) if enough else None
    return Sameness(across, within, drop)
