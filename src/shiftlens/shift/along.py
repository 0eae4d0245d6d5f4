"""Effects along several fine-tunes of one base: the same concepts, the same resamples, every step.

Concepts belong to the base, so that one refit serves all steps: the learner runs once a draw, and
the changes of every step are measured with what it found. Differences between steps are therefore
free of the scatter of the refits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.errors import MismatchError
from shiftlens.core.progress import Progress, Silent
from shiftlens.shift.effects import STATISTICS, Cells, Everywhere, effects, spread
from shiftlens.shift.matching import shared, shared_partners
from shiftlens.shift.refits import Refits, Split, again, resample

_SAME = 0.5  # Jaccard overlap from which a refit's concept is the same one

Effects = Float[np.ndarray, "k steps statistics"]


@dataclass(frozen=True)
class Along:
    """Several fine-tunes of one base on the same rows.

    Attributes:
        first: states of the base, and the changes to the first fine-tune.
        delta: (steps, m, d) changes of the estimation part, in float64.
        judging_delta: (steps, m, d) the same of the judging part.
    """

    first: Split
    delta: Tensor
    judging_delta: Tensor

    @property
    def steps(self) -> int:
        """How many fine-tunes."""
        return len(self.delta)

    @staticmethod
    def of(splits: Sequence[Split]) -> "Along":
        """From one split a step.

        Raises:
            MismatchError: they are not the same rows of the same base.
        """
        first = splits[0]
        for other in splits[1:]:
            same = (
                torch.equal(first.base, other.base)
                and torch.equal(first.judging_base, other.judging_base)
                and torch.equal(first.groups, other.groups)
                and torch.equal(first.judging_groups, other.judging_groups)
            )
            if not same:
                raise MismatchError(
                    "steps with other samples, or of another base, have no common curve",
                    allowed="changes from the same base states, row by row",
                )
        return Along(
            first,
            torch.stack([one.delta.double() for one in splits]),
            torch.stack([one.judging_delta.double() for one in splits]),
        )

    def effects(
        self,
        labels: Tensor,
        k: int,
        weights: Tensor | None = None,
        judging_weights: Tensor | None = None,
    ) -> tuple[Effects, np.ndarray]:
        """Effects of every concept at every step, and how far all states moved, in equal spreads.

        Args:
            labels: (m,) concept of each judging row.
            k: number of concepts.
            weights: (pictures,) how often each picture of the estimation part counts.
            judging_weights: the same of the judging part.

        Returns:
            (k, steps, statistics), and (1, steps, 1) of all samples.
        """
        one = self.first
        apart, place = self._cells(labels, k)
        whole, nowhere = self._whole
        scale = spread(apart, k, _counts(apart, judging_weights))
        found: list[Tensor] = []
        every: list[Tensor] = []
        for before, after in zip(self.delta, self.judging_delta, strict=True):
            everywhere = Everywhere.of(before, one.groups, weights)
            for cells, rows, size, kept in ((apart, place, k, found), (whole, nowhere, 1, every)):
                these = replace(
                    cells, delta=torch.zeros_like(cells.delta).index_add_(0, rows, after)
                )
                kept.append(effects(these, size, everywhere, judging_weights, scale=scale))
        return torch.stack(found, dim=1).numpy(), torch.stack(every, dim=1)[..., :1].numpy()

    def _cells(self, labels: Tensor, k: int) -> tuple[Cells, Tensor]:
        """Cells of the first step, whose changes others replace, and the cell of every row."""
        one = self.first
        cells = Cells.of(one.judging_base, one.judging_delta, labels, one.judging_groups, k)
        keys = cells.group * k + cells.concept  # sorted, as they are made
        return cells, torch.searchsorted(keys, one.judging_groups * k + labels)

    @cached_property
    def _whole(self) -> tuple[Cells, Tensor]:
        return self._cells(torch.zeros(len(self.first.judging_base), dtype=torch.long), 1)


def _counts(cells: Cells, weights: Tensor | None) -> Tensor:
    return torch.ones(len(cells.group)).double() if weights is None else weights[cells.group]


@dataclass(frozen=True)
class Followed:
    """Effects along the steps, and what the refits found.

    Attributes:
        concepts: (k, steps, statistics).
        everything: (1, steps, 1) how far all samples moved.
        refits: (draws, k, steps, statistics), in the order of the concepts.
        whole_refits: (draws, 1, steps, 1) of all samples, from the same resamples.
    """

    concepts: Effects
    everything: np.ndarray
    refits: Refits
    whole_refits: Refits


def follow(
    along: Along,
    learner: ConceptLearner,
    learned: Learned,
    *,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> Followed:
    """Measure every concept at every step, and again in refits.

    With one step this gives what ``shiftlens.shift.refits.refit`` does, to the bit.

    Args:
        along: the fine-tunes.
        learner: run again in each draw, with a seed of its own and a single start.
        learned: the reference concepts, from the base's estimation part.
        seed: of the resamples and the refits.
        draws: how many.
        progress: who is told.
    """
    k, reference = len(learned.vectors), learned.assign(along.first.judging_base)
    rng, listener = np.random.default_rng([seed, 7]), progress or Silent()
    drawn: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    listener.start("refits for intervals", draws)
    try:
        for draw in range(draws):
            one = again(learner, seed * 100_003 + draw)
            drawn.append(_draw(along, one, reference, k, rng))
            listener.advance()
    finally:
        listener.stop()
    values, overlaps, whole = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return Followed(
        *along.effects(reference, k),
        Refits(values, overlaps >= _SAME),
        Refits(whole, np.ones(whole.shape[:2], dtype=bool)),
    )


def _draw(
    along: Along, learner: ConceptLearner, reference: Tensor, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One refit's effects in the order of the reference, its overlaps, and the effect on all."""
    split = along.first
    weights = resample(split.groups, rng)
    rows = torch.repeat_interleave(torch.arange(len(split.base)), weights[split.groups].long())
    learned = learner.fit(split.base[rows])
    other, labels = len(learned.vectors), learned.assign(split.judging_base)
    judging = resample(split.judging_groups, rng)
    found, whole = along.effects(labels, other, weights, judging)
    partners, overlap = shared_partners(shared(reference, labels, k, other), fewest=_SAME)
    own = np.full((k, along.steps, len(STATISTICS)), np.nan)
    for index, partner in enumerate(partners):
        if partner is not None:
            own[index] = found[partner]
    return own, overlap, whole
