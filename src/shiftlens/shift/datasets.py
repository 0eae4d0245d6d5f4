"""One model on two data sets: which concepts are more or less frequent, and which lie elsewhere.

No sample is in both, so nothing that needs pairs is defined: no shift of a sample, no consistency,
no recovery, no part due to weights. What is defined: the share of each concept in either set, and
the distance between the mean states of a concept in the two, both with simultaneous intervals. The
squared distance of two noisy means is never zero; here it is estimated without that bias, from
products of states of different pictures.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import LearnError, MismatchError
from shiftlens.core.intervals import Interval
from shiftlens.core.progress import Progress, Silent
from shiftlens.shift.effects import (
    Cells,
    group_numbers,
    mean_change,
    mean_square,
    pictures,
    spread,
)
from shiftlens.shift.halves import cut
from shiftlens.shift.matching import shared, shared_partners
from shiftlens.shift.refits import Refits, again, resample
from shiftlens.shift.states_only import require_states
from shiftlens.shift.verdicts import FEWEST_PICTURES, Verdict, pass_verdict, simultaneous

_SAME = 0.5  # Jaccard overlap from which a refit's concept is the same one
_STATISTICS = ("moved", "share")


@dataclass(frozen=True)
class ConceptOnDatasets:
    """One concept of the first set, seen in both.

    Attributes:
        moved: verdict on the distance between its mean states in the two sets, in spreads.
        first, second: its share of either set.
        share: second minus first, with the simultaneous interval.
        stability: share of refits that found the concept again.
    """

    moved: Verdict
    first: float
    second: float
    share: Interval
    stability: float

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


@dataclass(frozen=True)
class DatasetShift:
    """What another data set does to the concepts of one model.

    Attributes:
        base: concepts learned on one half of the first set.
        concepts: what was found of each.
        rows: rows of the judging half of the first set, and of the second set.
        width: how many standard errors the simultaneous intervals reach to either side.
    """

    base: Concepts
    concepts: tuple[ConceptOnDatasets, ...]
    rows: dict[str, int]
    width: float

    def to_dict(self) -> dict[str, Any]:
        """JSON of everything but the concepts' vectors."""
        return {
            "base": self.base.to_data(),
            "concepts": [one.to_dict() for one in self.concepts],
            "rows": self.rows,
            "width": self.width,
        }


@dataclass(frozen=True)
class _Data:
    """States of the first set's halves and of the second set, with numbers of pictures."""

    estimation: Tensor
    judging: Tensor
    other: Tensor
    groups: tuple[Tensor, Tensor, Tensor]


def compare_datasets(
    first: ActivationStore,
    second: ActivationStore,
    learner: ConceptLearner,
    *,
    margin: float,
    layer: int | None = None,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> DatasetShift:
    """Compare two data sets under one model (covariate shift).

    Args:
        first: the model's states on the first set; concepts are learned on one half of it.
        second: states of the same model, at the same site, on the second set.
        learner: learns the concepts, and learns them again in every refit.
        margin: distance of two means, in spreads, that counts as nothing.
        layer: which of the stores' layers; may be left out when there is one.
        seed: of the cut and the refits.
        draws: refits behind the intervals.
        progress: who is told.

    Returns:
        for each concept how far the second set's mean lies from the first's, with a verdict.

    Raises:
        MismatchError: stores of different models or sites, or of the same samples.
        LearnError: too few samples; the message says how many are needed.
    """
    require_states(learner)
    if not margin > 0:
        raise LearnError(f"the margin {margin!r} is not possible", allowed="a number above 0")
    _require_datasets(first, second)
    data, estimation = _data(first, second, layer, learner, seed)
    concepts = learn(first.at_rows(estimation.tolist()), learner, layer=layer)
    learned = concepts.learned
    values, shares = _measure(data, learned, (None, None))
    refits = _refits(data, learner, learned, seed, draws, progress or Silent())
    errors, width = simultaneous(values, refits)
    enough = _pictures(data, learned)
    found = [
        ConceptOnDatasets(
            moved=pass_verdict(
                "moved",
                float(values[i, 0]) if enough[i] >= FEWEST_PICTURES else float("nan"),
                float(width * errors[i, 0]),
                margin,
                enough[i],
                float(refits.stability[i]),
            ),
            first=float(shares[i, 0]),
            second=float(shares[i, 1]),
            share=Interval(
                float(values[i, 1]),
                float(values[i, 1] - width * errors[i, 1]),
                float(values[i, 1] + width * errors[i, 1]),
            ),
            stability=float(refits.stability[i]),
        )
        for i in range(concepts.k)
    ]
    rows = {"first": len(data.judging), "second": len(data.other)}
    return DatasetShift(concepts, tuple(found), rows, width)


def _require_datasets(first: ActivationStore, second: ActivationStore) -> None:
    for name in ("model", "site"):
        mine, theirs = first.provenance.get(name), second.provenance.get(name)
        if mine != theirs:
            raise MismatchError(
                f"the stores differ in their {name}: two data sets are compared under one {name}",
                remedy="for two models on the same samples use compare(base, tuned, ...)",
            )
    both = {*first.sample_ids} & {*second.sample_ids}
    if both and first.provenance.get("data") == second.provenance.get("data"):
        raise MismatchError(
            "both stores hold the same data set",
            remedy="give a second data set, or a second model to compare(base, tuned, ...)",
        )


def _data(
    first: ActivationStore,
    second: ActivationStore,
    layer: int | None,
    learner: ConceptLearner,
    seed: int,
) -> tuple[_Data, np.ndarray]:
    names = [[row.image or row.sample_id for row in store.rows] for store in (first, second)]
    needed = max(2 * FEWEST_PICTURES, 2 * learner.k)
    for what, held in zip(("first", "second"), names, strict=True):
        if len(set(held)) < needed:
            raise LearnError(
                f"the {what} data set has {len(set(held))} pictures with the site's word",
                allowed=f"at least {needed} for {learner.k} concepts",
                remedy="give more samples, or choose a smaller k",
            )
    estimation, judging = cut(np.asarray(names[0]), np.random.default_rng(seed))
    acts, other = first.states(layer).float(), second.states(layer).float()
    e, j = torch.from_numpy(estimation), torch.from_numpy(judging)
    groups = [
        group_numbers([names[0][i] for i in estimation.tolist()])[0],
        group_numbers([names[0][i] for i in judging.tolist()])[0],
        group_numbers(names[1])[0],
    ]
    return _Data(acts[e], acts[j], other, (groups[0], groups[1], groups[2])), estimation


Weights = tuple[Tensor | None, Tensor | None]


def _measure(data: _Data, learned: Learned, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Distance and difference of shares (k, 2), and the shares themselves (k, 2)."""
    k = len(learned.vectors)
    sides: list[tuple[Cells, Tensor]] = []
    for states, groups, weight in (
        (data.judging, data.groups[1], weights[0]),
        (data.other, data.groups[2], weights[1]),
    ):
        cells = Cells.of(states, states, learned.assign(states), groups, k)
        own = torch.ones(len(cells.group)).double() if weight is None else weight[cells.group]
        sides.append((cells, own))
    squares = [mean_square(cells, own, k) for cells, own in sides]
    middles = [mean_change(cells, own, k) for cells, own in sides]
    square = squares[0] + squares[1] - 2 * (middles[0] * middles[1]).sum(dim=1)
    moved = square.sign() * square.abs().sqrt() / spread(sides[0][0], k, sides[0][1])
    shares = torch.stack([_share(cells, own, k) for cells, own in sides], dim=1)
    values = torch.stack([moved, shares[:, 1] - shares[:, 0]], dim=1)
    return values.numpy(), shares.numpy()


def _share(cells: Cells, own: Tensor, k: int) -> Tensor:
    rows = torch.zeros(k).double().index_add_(0, cells.concept, own * cells.counts)
    return rows / rows.sum()


def _refits(
    data: _Data,
    learner: ConceptLearner,
    learned: Learned,
    seed: int,
    draws: int,
    progress: Progress,
) -> Refits:
    """The same on resampled pictures of all three parts, the learner run again each time."""
    rng, k = np.random.default_rng([seed, 17]), len(learned.vectors)
    seen = torch.cat([data.judging, data.other])
    reference = learned.assign(seen)
    values = np.full((draws, k, len(_STATISTICS)), np.nan)
    found = np.zeros((draws, k), dtype=bool)
    progress.start("refits for intervals", draws)
    try:
        for draw in range(draws):
            counts = resample(data.groups[0], rng)[data.groups[0]].long()
            rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
            refit = again(learner, seed * 100_003 + draw).fit(data.estimation[rows])
            weights = (resample(data.groups[1], rng), resample(data.groups[2], rng))
            measured, _ = _measure(data, refit, weights)
            table = shared(reference, refit.assign(seen), k, len(refit.vectors))
            partners, overlap = shared_partners(table, fewest=_SAME)
            found[draw] = overlap >= _SAME
            for index, partner in enumerate(partners):
                if partner is not None:
                    values[draw, index] = measured[partner]
            progress.advance()
    finally:
        progress.stop()
    return Refits(values, found)


def _pictures(data: _Data, learned: Learned) -> list[int]:
    """Judging pictures of each concept in the poorer of the two sets."""
    k = len(learned.vectors)
    counts = [
        pictures(Cells.of(states, states, learned.assign(states), groups, k), k)
        for states, groups in ((data.judging, data.groups[1]), (data.other, data.groups[2]))
    ]
    return [min(pair) for pair in zip(*counts, strict=True)]
