"""Recovery the published way: shifted base concepts against tuned concepts learned on their own.

For each strength the shifted concepts are matched one to one with the tuned ones, and cosine and
T-Overlap of the pairs are averaged (Khayatan et al. 2025, sections 3.3 and 4.2). Shifts come from
one half of the samples, tuned concepts from the other. Matching again at every strength flatters
anything that looks like a tuned state: the controls ``samples`` (k random tuned samples in place of
shifted concepts) and ``partition`` (means and mean changes of k random groups of samples) say by
how much. The others are those of recovery judged on samples; of what is random, one draw is shown.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.grounding.words import state_scores, top_words
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.shapes import Acts, Vectors
from shiftlens.models.readout import Readout
from shiftlens.shift.controls import control_shifts, random_partition
from shiftlens.shift.halves import cut, take
from shiftlens.shift.matching import bijective
from shiftlens.shift.overlap import mean_overlap
from shiftlens.shift.recovery import STRENGTHS

Score = tuple[float, float, float]


@dataclass(frozen=True)
class PublishedRecovery:
    """Curves over strength, each for ``concept`` and every control, ``samples`` last."""

    strengths: tuple[float, ...]
    cosine: Mapping[str, tuple[float, ...]]
    centred_cosine: Mapping[str, tuple[float, ...]]
    t_overlap: Mapping[str, tuple[float, ...]]

    def to_dict(self) -> dict[str, Any]:
        """JSON for reports and metrics."""
        return {
            name: {key: list(curve) for key, curve in getattr(self, name).items()}
            for name in ("cosine", "centred_cosine", "t_overlap")
        }


def recover_published(
    base: Acts,
    tuned: Acts,
    sample_ids: Sequence[str],
    learner: ConceptLearner,
    readout: Readout,
    *,
    strengths: Sequence[float] = STRENGTHS,
    n_words: int = 15,
    stop_words: Collection[str] = (),
    seed: int = 0,
) -> PublishedRecovery:
    """Recovery as it was published, both ways round one random cut of the samples.

    Args:
        base: (n, d) states of the base model.
        tuned: (n, d) states of the same samples under the tuned model.
        sample_ids: n ids.
        learner: learns base concepts on one half and tuned concepts on the other.
        readout: the tuned model's head; it reads shifted and tuned concepts alike.
        strengths: how much of each shift is added.
        n_words: words a concept.
        stop_words: never listed.
        seed: of the cut and the controls.
    """
    rng = np.random.default_rng(seed)
    first, second = cut(np.asarray(sample_ids), rng)
    reader = _Reader(readout, n_words, stop_words)
    folds = [
        _fold(base, tuned, estimation, judging, learner, reader, strengths, rng)
        for estimation, judging in ((first, second), (second, first))
    ]
    # Of each control (strengths, 3).
    means = {name: np.mean([fold[name] for fold in folds], axis=0) for name in folds[0]}

    def curve(column: int) -> dict[str, tuple[float, ...]]:
        return {name: tuple(scores[:, column].tolist()) for name, scores in means.items()}

    return PublishedRecovery(tuple(strengths), curve(0), curve(1), curve(2))


@dataclass(frozen=True)
class _Reader:
    readout: Readout
    n_words: int
    stop_words: Collection[str]

    def words(self, states: Tensor) -> list[tuple[str, ...]]:
        scores = state_scores(self.readout, states)
        return list(top_words(self.readout, scores, n=self.n_words, stop_words=self.stop_words))


def _fold(
    base: Acts,
    tuned: Acts,
    estimation: np.ndarray,
    judging: np.ndarray,
    learner: ConceptLearner,
    reader: _Reader,
    strengths: Sequence[float],
    rng: np.random.Generator,
) -> dict[str, list[Score]]:
    """Scores of the concepts and of every control at each strength."""
    halves = take(base, tuned, estimation, judging)
    learned, targets = learner.fit(halves.base), learner.fit(halves.judging_tuned).vectors
    vectors, labels = learned.vectors, learned.assign(halves.base)
    aim = _Aim(targets, halves.tuned.mean(dim=0), reader.words(targets), reader)
    shifts = control_shifts(halves.base, halves.tuned, labels, vectors, rng)
    found = {name: aim.curve(vectors, one[0], strengths) for name, one in shifts.items()}
    groups = random_partition(halves.base, halves.tuned, labels, len(vectors), rng)
    found["partition"] = aim.curve(groups.vectors[0], groups.shifts[0], strengths)
    rows = torch.from_numpy(rng.choice(len(halves.tuned), len(vectors), replace=False))
    return {**found, "samples": [aim.score(halves.tuned[rows])] * len(strengths)}


@dataclass(frozen=True)
class _Aim:
    """The tuned concepts that shifted ones are paired with."""

    targets: Vectors
    centre: Tensor
    words: Sequence[Collection[str]]
    reader: _Reader

    def curve(self, starts: Vectors, shifts: Vectors, strengths: Sequence[float]) -> list[Score]:
        """Scores of the shifted vectors at each strength."""
        return [self.score(starts + strength * shifts) for strength in strengths]

    def score(self, shifted: Vectors) -> Score:
        """Mean cosine, centred cosine and T-Overlap of the one-to-one pairs."""
        partners = bijective(shifted, self.targets)
        matched = self.targets[partners]
        cosine = torch.nn.functional.cosine_similarity
        plain = cosine(shifted, matched, dim=1).mean()
        centred = cosine(shifted - self.centre, matched - self.centre, dim=1).mean()
        words = self.reader.words(shifted)
        overlap = mean_overlap(words, [self.words[j] for j in partners])
        return float(plain), float(centred), overlap
