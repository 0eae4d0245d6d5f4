"""What kind of change: kept, split, merged, vanished, born; said only where refits agree.

The same judging rows fall into both dictionaries; what becomes of the rows of one concept is its
*fate* in the other. Two runs of one learner on one model already disagree a good deal, so a fate
counts only if at least four of five refits (other pictures, other seeds, k a quarter smaller or
larger) agree on it. Only refits that keep the concept together in its own model are asked, and at
least a third of them must: what a dictionary cannot hold on to at home, fine-tuning did not break.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.progress import Progress, Silent
from shiftlens.shift.fates import KEPT, VANISHED, fate
from shiftlens.shift.refits import Split, resample

BORN = "born"
UNDECIDED = "moved, kind undecided"

AGREEMENT = 0.8
"""Share of refits that must agree on a fate."""

_AT_HOME = 1 / 3  # share of refits of its own model that must keep a concept together
_SIZES = (0.75, 1.0, 1.25)  # of k: a fate that only one k shows is the learner's, not the model's


@dataclass(frozen=True)
class Kind:
    """What became of one concept, and how many refits agree.

    Attributes:
        kind: ``kept``, ``split``, ``merged``, ``vanished``, ``born`` or ``moved, kind undecided``.
        agreement: share of the refits that keep it at home that see the commonest fate away.
        kept_at_home: share of refits of its own model that keep the concept together.
    """

    kind: str
    agreement: float
    kept_at_home: float

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "kind": self.kind,
            "agreement": self.agreement,
            "kept_at_home": self.kept_at_home,
        }


@dataclass(frozen=True)
class Kinds:
    """Fates of the concepts of both models.

    Attributes:
        base: for each base concept what became of it in the tuned model.
        tuned: for each tuned concept ``born``, ``kept`` or undecided, seen from the base model.
    """

    base: tuple[Kind, ...]
    tuned: tuple[Kind, ...]


def kinds(
    split: Split,
    learner: ConceptLearner,
    base: Learned,
    tuned: Learned,
    *,
    seed: int = 0,
    draws: int = 60,
    progress: Progress | None = None,
) -> Kinds:
    """Fates of the concepts of both models over refits of both dictionaries.

    Args:
        split: states of the estimation and the judging part.
        learner: run again in every refit with all its starts, with the k of the side that it
            learns a quarter smaller, equal or larger.
        base: the base's concepts, from the estimation part.
        tuned: the tuned model's concepts, from the same rows; their number is free.
        seed: of the refits.
        draws: how many on each side.
        progress: who is told.
    """
    sides = _sides(split)
    mine = [base.assign(sides[0][1]), tuned.assign(sides[1][1])]
    sizes = [len(base.vectors), len(tuned.vectors)]
    rng, listener = np.random.default_rng([seed, 11]), progress or Silent()
    seen: list[list[list[list[str]]]] = [
        [[[] for _ in range(size)] for _ in sides] for size in sizes
    ]
    listener.start("refits for kinds", draws)
    try:
        for draw in range(draws):
            rows, share = _resampled_rows(split, rng), rng.choice(_SIZES)
            for other, (estimation, judging) in enumerate(sides):
                size = round(sizes[other] * share)
                varied = replace(  # pyright: ignore[reportCallIssue]
                    learner,  # pyright: ignore[reportArgumentType]
                    k=min(max(2, size), len(estimation)),
                    seed=seed * 100_003 + 2 * draw + other,
                )
                learned = varied.fit(estimation[rows])
                labels = learned.assign(judging)
                for side, size in enumerate(sizes):
                    for concept in range(size):
                        told = fate(mine[side] == concept, labels, varied.k)
                        seen[side][other][concept].append(told)
            listener.advance()
    finally:
        listener.stop()
    return Kinds(
        tuple(_of_base(seen[0][0][i], seen[0][1][i]) for i in range(sizes[0])),
        tuple(_of_tuned(seen[1][1][j], seen[1][0][j]) for j in range(sizes[1])),
    )


def _sides(split: Split) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    tuned = (split.base + split.delta, split.judging_base + split.judging_delta)
    return (split.base, split.judging_base), tuned


def _resampled_rows(split: Split, rng: np.random.Generator) -> Tensor:
    weights = resample(split.groups, rng)[split.groups].long()
    return torch.repeat_interleave(torch.arange(len(split.groups)), weights)


def _of_base(home: Sequence[str], away: Sequence[str]) -> Kind:
    told, share, kept = _commonest(home, away)
    sure = share >= AGREEMENT and kept >= _AT_HOME and told != "mixed"
    return Kind(told if sure else UNDECIDED, share, kept)


def _of_tuned(home: Sequence[str], away: Sequence[str]) -> Kind:
    told, share, kept = _commonest(home, away)
    named = {VANISHED: BORN, KEPT: KEPT}.get(told)
    sure = share >= AGREEMENT and kept >= _AT_HOME and named is not None
    return Kind(str(named) if sure else UNDECIDED, share, kept)


def _commonest(home: Sequence[str], away: Sequence[str]) -> tuple[str, float, float]:
    """The commonest fate where the concept is kept at home, its share there, and how often that is.

    A refit with a smaller k, which merges the concept with another one in its own model already,
    says nothing about the other model.
    """
    fates = [there for here, there in zip(home, away, strict=True) if here == KEPT]
    if not fates:
        return "mixed", 0.0, 0.0
    told, count = Counter(fates).most_common(1)[0]
    return told, count / len(fates), len(fates) / len(home)
