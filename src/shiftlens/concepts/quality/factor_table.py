"""Agreement with known factors for every learner, layer and k: one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.quality.agreement import agreement, purity
from shiftlens.concepts.quality.coding import assignments
from shiftlens.concepts.quality.resampling import student
from shiftlens.concepts.rows import Rows, rows_of
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval
from shiftlens.core.shapes import Acts

_SHUFFLES = 20


@dataclass(frozen=True)
class FactorRow:
    """One cell of the table: means over seeds with Student's interval.

    Attributes:
        learner: its name.
        layer: where the states were taken.
        k: concepts.
        factor: what is known of the pictures.
        ami: adjusted mutual information.
        ami_gain: the same minus that of random samples with the same k and seed.
        purity: share of rows with the commonest value of their concept.
        purity_chance: purity with the factor shuffled.
        purity_gain: purity minus its chance level, seed by seed.
    """

    learner: str
    layer: int
    k: int
    factor: str
    ami: Interval
    ami_gain: Interval
    purity: Interval
    purity_chance: Interval
    purity_gain: Interval

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {name: getattr(self, name) for name in ("learner", "layer", "k", "factor")}
        names = ("ami", "ami_gain", "purity", "purity_chance", "purity_gain")
        return {**plain, **{name: getattr(self, name).to_dict() for name in names}}


def factor_table(
    layers: Mapping[int, Acts | Rows],
    factors: Mapping[str, Sequence[object]],
    learners: Sequence[ConceptLearner],
    ks: Sequence[int],
    *,
    n_seeds: int = 5,
    seed: int = 0,
) -> list[FactorRow]:
    """Learn with every learner, layer, k and seed, and compare with every factor.

    Intervals are over seeds: they tell what the learner's luck does on these rows, and nothing of
    other rows.

    Args:
        layers: the states of each layer; the same rows in the same order.
        factors: n values of each known factor.
        learners: one of each kind; their ``k`` and ``seed`` are replaced.
        ks: numbers of concepts.
        n_seeds: how often each is learned.
        seed: the first of the seeds.

    Raises:
        LearnError: fewer than two seeds, nothing to compare, or a k that the rows do not allow.
    """
    if n_seeds < 2:
        raise LearnError(f"an interval over {n_seeds} seeds", allowed="2 seeds or more")
    if not (layers and factors and learners and ks):
        raise LearnError(
            "an empty table", allowed="at least one layer, factor, learner and k, each"
        )
    found: list[FactorRow] = []
    seeds = range(seed, seed + n_seeds)
    for layer, acts in layers.items():
        rows = rows_of(acts)
        for k in ks:
            random = [_random_samples(rows, k, one) for one in seeds]
            for learner in learners:
                fits = [replace(learner, k=k, seed=one).fit(rows) for one in seeds]  # pyright: ignore[reportArgumentType,reportCallIssue]
                labels = [assignments(one, rows) for one in fits]
                found += [
                    _row((learner.name, layer, k, name), labels, random, values, seed)
                    for name, values in factors.items()
                ]
    return found


def _random_samples(rows: Rows, k: int, seed: int) -> torch.Tensor:
    from shiftlens.concepts.learners.baselines import RandomSamples

    return assignments(RandomSamples(k=k, seed=seed).fit(rows), rows)


def _row(
    cell: tuple[str, int, int, str],
    labels: Sequence[torch.Tensor],
    random: Sequence[torch.Tensor],
    values: Sequence[object],
    seed: int,
) -> FactorRow:
    rng = np.random.default_rng(seed)
    mutual = np.asarray([agreement(one, values) for one in labels])
    control = np.asarray([agreement(one, values) for one in random])
    pure = np.asarray([purity(one, values) for one in labels])
    orders = [rng.permutation(len(values)) for _ in range(_SHUFFLES)]
    shuffled = [[values[place] for place in order.tolist()] for order in orders]
    chance = np.asarray([np.mean([purity(one, other) for other in shuffled]) for one in labels])
    return FactorRow(
        *cell,
        ami=student(mutual, most=1.0),
        ami_gain=student(mutual - control),
        purity=student(pure, most=1.0),
        purity_chance=student(chance, most=1.0),
        purity_gain=student(pure - chance),
    )
