"""Refits: the learner run again on resampled pictures, so that intervals know what it would redo.

With the assignment of samples to concepts held fixed, intervals come out far too narrow: a learner
run again on slightly other data draws its borders elsewhere. Every draw resamples the pictures of
the estimation and of the judging part, learns again with another seed, finds the concept that holds
the same judging rows as each reference concept, and measures that one.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.progress import Progress, Silent
from shiftlens.shift.effects import Cells, Everywhere, effects
from shiftlens.shift.matching import shared, shared_partners

_SAME = 0.5  # Jaccard overlap from which a refit's concept is the same one


@dataclass(frozen=True)
class Split:
    """Paired states of two parts that share no picture.

    Attributes:
        base, delta: (m, d) base states and changes of the estimation part.
        groups: (m,) number of each row's picture, from 0.
        judging_base, judging_delta, judging_groups: the same of the judging part.
    """

    base: Tensor
    delta: Tensor
    groups: Tensor
    judging_base: Tensor
    judging_delta: Tensor
    judging_groups: Tensor

    def with_delta(self, delta: Tensor, judging_delta: Tensor) -> "Split":
        """The same rows with other changes: another fine-tune of the same base."""
        return replace(self, delta=delta, judging_delta=judging_delta)


@dataclass(frozen=True)
class Refits:
    """What the refits found.

    Attributes:
        values: (draws, k, statistics); NaN where a refit did not find the concept again.
        found: (draws, k) whether it did: a concept of the refit shares at least one half of the
            judging rows of either (Jaccard).
    """

    values: np.ndarray
    found: np.ndarray

    @property
    def stability(self) -> np.ndarray:
        """(k,) share of refits that found the concept again."""
        return self.found.mean(axis=0)


def reference_effects(split: Split, learned: Learned) -> Tensor:
    """Effects of the concepts themselves, without any resampling: (k, statistics)."""
    k, labels = len(learned.vectors), learned.assign(split.judging_base)
    cells = Cells.of(split.judging_base, split.judging_delta, labels, split.judging_groups, k)
    return effects(cells, k, Everywhere.of(split.delta, split.groups))


def refit(
    split: Split,
    learner: ConceptLearner,
    learned: Learned,
    *,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> Refits:
    """Learn and measure again on resampled pictures.

    Args:
        split: states of the estimation and the judging part.
        learner: run again in each draw, with a seed of its own and a single start.
        learned: the reference concepts, from the same estimation part.
        seed: of the resamples and the refits.
        draws: how many.
        progress: who is told.
    """
    rng, listener = np.random.default_rng([seed, 7]), progress or Silent()
    reference = learned.assign(split.judging_base)
    values: list[np.ndarray] = []
    listener.start("refits for intervals", draws)
    try:
        for draw in range(draws):
            one = again(learner, seed * 100_003 + draw)
            values.append(_draw(split, one, reference, len(learned.vectors), rng))
            listener.advance()
    finally:
        listener.stop()
    whole = np.stack(values)
    return Refits(whole[..., :-1], whole[..., -1] >= _SAME)


def again(learner: ConceptLearner, seed: int) -> ConceptLearner:
    """The learner with another seed and, where it has several starts, a single one."""
    options: dict[str, Any] = {"seed": seed}
    if hasattr(learner, "n_starts"):
        options["n_starts"] = 1
    return replace(learner, **options)  # pyright: ignore[reportArgumentType,reportCallIssue]


def _draw(
    split: Split, learner: ConceptLearner, reference: Tensor, k: int, rng: np.random.Generator
) -> np.ndarray:
    """Effects of one refit in the order of the reference, and the overlaps as a last column."""
    weights = resample(split.groups, rng)
    rows = torch.repeat_interleave(torch.arange(len(split.base)), weights[split.groups].long())
    learned = learner.fit(split.base[rows])
    other, labels = len(learned.vectors), learned.assign(split.judging_base)
    cells = Cells.of(split.judging_base, split.judging_delta, labels, split.judging_groups, other)
    everywhere = Everywhere.of(split.delta, split.groups, weights)
    found = effects(cells, other, everywhere, resample(split.judging_groups, rng)).numpy()
    partners, overlap = shared_partners(shared(reference, labels, k, other), fewest=_SAME)
    own = np.full((k, found.shape[1] + 1), np.nan)
    own[:, -1] = overlap
    for index, partner in enumerate(partners):
        if partner is not None:
            own[index, :-1] = found[partner]
    return own


def resample(groups: Tensor, rng: np.random.Generator) -> Tensor:
    """How often each picture is drawn when as many as there are are drawn with replacement."""
    size = int(groups.max()) + 1
    return torch.from_numpy(np.bincount(rng.integers(0, size, size), minlength=size)).double()
