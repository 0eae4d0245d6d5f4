"""The published figures of a fine-tune, concept by concept (Khayatan et al. 2025, section 4.2).

Concepts of the base and of the tuned model are learned apart and matched one to one, once; each
base concept is shifted by the mean change of its samples; and what is counted is how much closer it
then is to its partner. Everything comes from the same samples, as published: with k-means the
shifted concept *is* the tuned mean of its samples, so that a gain is nearly built in. Only recovery
judged on held-out samples (``recovery.py``) says whether it generalises; these figures are there to
stand beside published ones.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import torch

from shiftlens.activations.store import ActivationStore, paired
from shiftlens.concepts.grounding.words import reading, state_scores, top_words
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.shapes import Vectors
from shiftlens.models.readout import Readout
from shiftlens.shift.matching import bijective
from shiftlens.shift.overlap import t_overlap
from shiftlens.shift.states_only import require_states
from shiftlens.shift.vectors import consistency, magnitude, shift_vectors


@dataclass(frozen=True)
class ConceptGain:
    """What shifting one base concept gained.

    Attributes:
        index: of the base concept; ``partner`` of the tuned one.
        rows: samples that it has.
        overlap_original, overlap_shifted: T-Overlap of the partner with the concept as it is, and
            with its shift added.
        cosine_original, cosine_shifted: the same in cosine.
        relative_gain: (shifted - original) / original, of the cosines; NaN where the original one
            is not positive.
        consistency: leave-one-out; ``consistency_published`` keeps the sample in its mean.
        magnitude: length of the shift.
    """

    index: int
    partner: int
    rows: int
    overlap_original: float
    overlap_shifted: float
    cosine_original: float
    cosine_shifted: float
    relative_gain: float
    consistency: float
    consistency_published: float
    magnitude: float


@dataclass(frozen=True)
class Gains:
    """The figures of one fine-tune on one text.

    Attributes:
        rows: samples that both models have a state of.
        concepts: one entry a base concept.
    """

    rows: int
    concepts: tuple[ConceptGain, ...]

    def mean(self, name: str) -> float:
        """Mean of one figure over the concepts."""
        values = [float(getattr(one, name)) for one in self.concepts]
        return sum(values) / len(values)

    def to_dict(self) -> dict[str, Any]:
        """JSON: means over concepts, how many rise and fall, and every concept."""
        steps = [one.overlap_shifted - one.overlap_original for one in self.concepts]
        return {
            "rows": self.rows,
            "k": len(self.concepts),
            "overlap": {
                "original": self.mean("overlap_original"),
                "shifted": self.mean("overlap_shifted"),
                "rises": sum(step > 0 for step in steps),
                "falls": sum(step < 0 for step in steps),
            },
            "cosine": {
                "original": self.mean("cosine_original"),
                "shifted": self.mean("cosine_shifted"),
                "relative_gain": self.mean("relative_gain"),
            },
            "concepts": [asdict(one) for one in self.concepts],
        }


def published_gains(
    base: ActivationStore,
    tuned: ActivationStore,
    learner: ConceptLearner,
    *,
    readouts: tuple[Readout, Readout],
    layer: int | None = None,
    n_words: int = 15,
    stop_words: Collection[str] = (),
) -> Gains:
    """How much closer each base concept is to its tuned partner once its shift is added.

    Args:
        base: the base model's states.
        tuned: the tuned model's, at the same site.
        learner: learns the concepts of both models, each from its own states.
        readouts: heads of the base and of the tuned model; the tuned one reads shifted concepts.
        layer: which of the stores' layers; may be left out when there is one.
        n_words: words a concept.
        stop_words: never listed.

    Raises:
        MismatchError: the stores share no sample.
        LearnError: fewer samples in common than concepts.
    """
    require_states(learner)
    a, b = paired(base, tuned)
    before, after = a.states(layer), b.states(layer)
    learned, targets = learner.fit(before), learner.fit(after).vectors
    vectors, labels, k = learned.vectors, learned.assign(before), len(learned.vectors)
    shifts = shift_vectors(before, after, labels, k)
    partners = bijective(vectors, targets)
    heads = [reading(readout, base.site) for readout in readouts]

    def words(states: Vectors, head: Readout) -> list[tuple[str, ...]]:
        scores = state_scores(head, states)
        return list(top_words(head, scores, n=n_words, stop_words=stop_words))

    said = [words(vectors, heads[0]), words(vectors + shifts, heads[1]), words(targets, heads[1])]
    cosine = torch.nn.functional.cosine_similarity
    original = cosine(vectors, targets[partners], dim=1).tolist()
    shifted = cosine(vectors + shifts, targets[partners], dim=1).tolist()
    alone, inclusive = consistency(before, after, labels, k)
    rows, lengths = torch.bincount(labels, minlength=k).tolist(), magnitude(shifts).tolist()
    return Gains(
        rows=len(a),
        concepts=tuple(
            ConceptGain(
                index=i,
                partner=j,
                rows=rows[i],
                overlap_original=t_overlap(said[2][j], said[0][i]),
                overlap_shifted=t_overlap(said[2][j], said[1][i]),
                cosine_original=original[i],
                cosine_shifted=shifted[i],
                relative_gain=_relative(original[i], shifted[i]),
                consistency=float(alone[i]),
                consistency_published=float(inclusive[i]),
                magnitude=lengths[i],
            )
            for i, j in enumerate(partners)
        ),
    )


def _relative(original: float, shifted: float) -> float:
    return (shifted - original) / original if original > 0 else float("nan")
