"""Does a changed concept show? Its answers inside against outside, and undone by subtraction.

A concept can move without anybody seeing it. Two things make it visible: the answers to its samples
changed more often than those to other samples; or subtracting its shift from the fine-tuned model
brings the base's answers back, surely by .05 of likeness more than vectors of the same length in
random directions do (more than nothing is what any shift does).
Everything here is counted on the judging third.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from shiftlens.activations.survey import Answers
from shiftlens.concepts.vectors import SteeringVector
from shiftlens.core.intervals import Interval, bootstrap_mean, percentile, wilson
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model
from shiftlens.steering.applying import Intervention
from shiftlens.steering.directions import random_like
from shiftlens.steering.responding import steer_responses

RESTORED, MORE, NOTHING = "answers restored", "answers changed more here", "no visible effect"
UNTRIED = "undoing not tried"

_LEAST = 0.05  # likeness that a restoring must surely gain over random directions to be called one
_RANDOM = 3  # directions that the restoring is compared with
_FEWEST = 10  # answers for an interval that says anything
_DRAWS = 2000


@dataclass(frozen=True)
class Visible:
    """What one concept's change did to answers.

    Attributes:
        effect: in a few words.
        inside, outside: share of changed answers among the concept's samples and among the others.
        difference: inside minus outside.
        n_steered: changed answers of the concept that were steered.
        restored: similarity to the base's answer gained by subtracting the concept's shift.
        random: the same for random directions of equal length.
        restored_minus_random: paired by sample.
        whole: share of the steered answers that became the base's answer word for word.
    """

    effect: str
    inside: Interval | None
    outside: Interval | None
    difference: Interval | None
    n_steered: int
    restored: Interval | None = None
    random: Interval | None = None
    restored_minus_random: Interval | None = None
    whole: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        found: dict[str, Any] = {"effect": self.effect, "n_steered": self.n_steered}
        for name in _INTERVALS:
            value: Interval | None = getattr(self, name)
            found[name] = None if value is None else value.to_dict()
        return found


_INTERVALS = (
    *("inside", "outside", "difference"),
    *("restored", "random", "restored_minus_random", "whole"),
)


def look(
    tuned: Model,
    inside: Sequence[tuple[Sample, Answers]],
    outside: Sequence[Answers],
    vector: SteeringVector | None,
    *,
    n_restored: int = 60,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    seed: int = 0,
) -> Visible:
    """Look for the visible effect of one concept.

    Args:
        tuned: the fine-tuned model.
        inside: judging samples of the concept, with the answers of both models.
        outside: answers to the judging samples of other concepts.
        vector: the concept's shift from the estimation third; ``None`` tries no steering.
        n_restored: changed answers that are steered, at most.
        max_new_tokens: where an answer is cut off.
        batch_size: samples at once.
        seed: of resamples and random directions.
    """
    changed = ([row.changed for _, row in inside], [row.changed for row in outside])
    difference = _difference(*changed, seed=seed)
    pairs = [(sample, row) for sample, row in inside if row.changed][:n_restored]
    tried: dict[str, Any] = {}
    if vector is not None and len(pairs) >= _FEWEST:
        tried = _undo(tuned, pairs, vector, max_new_tokens, batch_size, seed)
    effect = NOTHING if tried else UNTRIED
    if difference is not None and difference.low > 0:
        effect = MORE
    if tried and tried["restored_minus_random"].low > _LEAST:
        effect = RESTORED
    return Visible(
        effect,
        inside=_share(changed[0]),
        outside=_share(changed[1]),
        difference=difference,
        n_steered=len(pairs) if tried else 0,
        **tried,
    )


def likeness(text: str, other: str) -> float:
    """How alike two texts are word by word, in order: 0 nothing in common, 1 the same words."""
    return SequenceMatcher(None, text.split(), other.split(), autojunk=False).ratio()


def _share(changed: Sequence[bool]) -> Interval | None:
    return wilson(sum(changed), len(changed)) if changed else None


def _difference(inside: Sequence[bool], outside: Sequence[bool], *, seed: int) -> Interval | None:
    if len(inside) < _FEWEST or len(outside) < _FEWEST:
        return None
    rng = np.random.default_rng([seed, 3])
    means: list[np.ndarray] = []
    for side in (inside, outside):
        values = np.asarray(side, dtype=np.float64)
        means.append(values[rng.integers(0, len(values), (_DRAWS, len(values)))].mean(axis=1))
    return percentile(means[0] - means[1], float(np.mean(inside) - np.mean(outside)))


def _undo(
    tuned: Model,
    pairs: Sequence[tuple[Sample, Answers]],
    vector: SteeringVector,
    max_new_tokens: int,
    batch_size: int,
    seed: int,
) -> dict[str, Any]:
    """Subtract the shift, and vectors of the same length, from the tuned model."""
    samples = [sample for sample, _ in pairs]
    wanted = [row.base.text for _, row in pairs]
    before = np.array([likeness(row.tuned.text, row.base.text) for _, row in pairs])

    def steered(one: SteeringVector) -> list[str]:
        undo = [Intervention(one, strength=-1.0)]
        said, _ = steer_responses(
            tuned, samples, undo, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        return [response.text for response in said]

    texts = steered(vector)
    gained = np.array([likeness(*two) for two in zip(texts, wanted, strict=True)]) - before
    noise = [steered(random_like(vector, seed + draw)) for draw in range(_RANDOM)]
    by_chance = [
        np.array([likeness(*two) for two in zip(said, wanted, strict=True)]) - before
        for said in noise
    ]
    chance = np.mean(by_chance, axis=0)
    same = [text.split() == base.split() for text, base in zip(texts, wanted, strict=True)]
    return {
        "restored": bootstrap_mean(gained, seed=seed),
        "random": bootstrap_mean(chance, seed=seed),
        "restored_minus_random": bootstrap_mean(gained - chance, seed=seed),
        "whole": wilson(sum(same), len(same)),
    }
