"""How much of what fine-tuning did to concepts comes back when shift vectors are added.

Judged on samples (ours, reported first): concepts and shifts come from the estimation half of the
samples; the target of concept k is the mean tuned state of the *judging* half's samples whose base
state is nearest to it. A cosine is centred: the tuned mean of the estimation half is
subtracted from both sides, because states share a large common direction that flatters every
comparison.

Halves are cut by sample, so that no sample helps to judge itself. With k-means, base centroid plus
shift *is* the estimation half's tuned mean at strength 1; only the other half can say whether that
generalises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.learner import ConceptLearner
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval, percentile
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.shapes import Acts
from shiftlens.shift.controls import control_shifts
from shiftlens.shift.vectors import differences

STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
_SPLITS = 4  # random cuts into halves that the curves are averaged over, each used both ways
_FEWEST = 3  # judging samples that a concept needs to have a target


@dataclass(frozen=True)
class Recovery:
    """Curves over strength, and paired differences with their intervals.

    Attributes:
        strengths: the amounts that were added.
        centred_cosine: for ``concept`` and each control, the mean centred cosine at each strength.
        differences: at strength 1, ``concept_minus_<control>`` with a 95 % interval from refits:
            samples resampled within halves, the learner run again every time.
        concepts_judged: mean number of concepts that had enough judging samples.
    """

    strengths: tuple[float, ...]
    centred_cosine: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, Interval]
    concepts_judged: float

    def to_dict(self) -> dict[str, Any]:
        """JSON for reports and metrics."""
        return {
            "strength": list(self.strengths),
            "centred_cosine": {name: list(curve) for name, curve in self.centred_cosine.items()},
            **{name: interval.to_dict() for name, interval in self.differences.items()},
            "concepts_judged": self.concepts_judged,
        }


@dataclass(frozen=True)
class Halves:
    """The two halves of one cut: states of both models, estimation and judging."""

    base: Acts
    tuned: Acts
    judging_base: Float[Tensor, "m d"]
    judging_tuned: Float[Tensor, "m d"]


def recover(
    base: Acts,
    tuned: Acts,
    sample_ids: Sequence[str],
    learner: ConceptLearner,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> Recovery:
    """Recovery judged on samples, with controls and intervals.

    Args:
        base: (n, d) states of the base model.
        tuned: (n, d) states of the same samples under the tuned model.
        sample_ids: n ids of samples, or of their pictures; rows of one id stay in one half.
        learner: learns the concepts again in every half and refit.
        strengths: must contain 1, at which the differences are taken.
        seed: of cuts, resamples and controls.
        draws: refits behind the intervals.
        progress: who is told.

    Raises:
        LearnError: too few samples for halves, or strengths without 1.
        MismatchError: the two sides do not hold the same samples.
    """
    differences(base, tuned)
    if 1.0 not in strengths:
        raise LearnError(
            f"strengths {tuple(strengths)} lack 1", remedy="differences are taken there"
        )
    ids = np.asarray(sample_ids)
    _require_halves(ids, learner)
    rng = np.random.default_rng(seed)
    folds: list[tuple[dict[str, list[float]], int]] = []
    for _ in range(_SPLITS):
        first, second = cut(ids, rng)
        for estimation, judging in ((first, second), (second, first)):
            halves = take(base, tuned, estimation, judging)
            fold = curves(halves, learner, strengths, rng)
            folds += [fold] if fold[1] else []  # a half in which no concept has rows judges nothing
    if not folds:
        raise LearnError(
            f"no concept of {learner.k} has {_FEWEST} rows in a judging half",
            remedy="harvest more samples, or choose a smaller k",
        )
    mean = {
        name: tuple(np.mean([fold[name] for fold, _ in folds], axis=0).tolist())
        for name in folds[0][0]
    }
    judged = float(np.mean([kept for _, kept in folds]))
    at_one = list(strengths).index(1.0)
    gaps = _refits(base, tuned, ids, learner, rng, draws, progress or Silent())
    found = {
        f"concept_minus_{name}": percentile(gaps[name], mean["concept"][at_one] - curve[at_one])
        for name, curve in mean.items()
        if name != "concept"
    }
    return Recovery(tuple(strengths), mean, found, judged)


def fewest_samples(learner: ConceptLearner) -> int:
    """How many samples (or pictures) two halves need, at the least."""
    return 2 * max(learner.k, 2 * _FEWEST)


def _require_halves(ids: np.ndarray, learner: ConceptLearner) -> None:
    samples, needed = len(np.unique(ids)), fewest_samples(learner)
    if samples < needed:
        raise LearnError(
            f"{samples} samples are too few to judge {learner.k} concepts on held-out halves",
            allowed=f"at least {needed} samples",
            remedy="harvest more samples, or choose a smaller k",
        )


def cut(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two random halves; rows of one sample stay together."""
    samples = rng.permutation(np.unique(ids))
    first = np.isin(ids, samples[: len(samples) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def take(base: Acts, tuned: Acts, estimation: np.ndarray, judging: np.ndarray) -> Halves:
    """The states of the given rows in float32."""
    e, j = torch.from_numpy(estimation), torch.from_numpy(judging)
    return Halves(base[e].float(), tuned[e].float(), base[j].float(), tuned[j].float())


def curves(
    halves: Halves,
    learner: ConceptLearner,
    strengths: Sequence[float],
    rng: np.random.Generator,
) -> tuple[dict[str, list[float]], int]:
    """Mean centred cosine over concepts, for each control and strength; and how many concepts."""
    vectors = learner.fit(halves.base).vectors
    labels = torch.cdist(halves.base, vectors).argmin(dim=1)
    judged = torch.cdist(halves.judging_base, vectors).argmin(dim=1)
    counts = torch.bincount(judged, minlength=len(vectors))
    kept = torch.nonzero(counts >= _FEWEST).flatten()
    centre = halves.tuned.mean(dim=0)
    sums = torch.zeros_like(vectors).index_add_(0, judged, halves.judging_tuned)
    targets = (sums / counts.clamp_min(1)[:, None])[kept] - centre
    found: dict[str, list[float]] = {}
    for name, shifts in control_shifts(halves.base, halves.tuned, labels, vectors, rng).items():
        found[name] = [
            _mean_cosine(vectors[kept] + strength * shifts[:, kept] - centre, targets)
            for strength in strengths
        ]
    return found, len(kept)


def _mean_cosine(shifted: Tensor, targets: Tensor) -> float:
    """Mean over repetitions and concepts: shifted (r, k, d) against targets (k, d)."""
    cosines = torch.nn.functional.cosine_similarity(shifted, targets[None], dim=-1)
    return float(cosines.mean())


def _refits(
    base: Acts,
    tuned: Acts,
    ids: np.ndarray,
    learner: ConceptLearner,
    rng: np.random.Generator,
    draws: int,
    progress: Progress,
) -> dict[str, list[float]]:
    """Differences at strength 1 when samples are resampled in halves and all is learned again."""
    rows = {sample: np.flatnonzero(ids == sample) for sample in np.unique(ids)}
    light = replace(learner, n_starts=1) if hasattr(learner, "n_starts") else learner  # pyright: ignore[reportCallIssue,reportArgumentType]
    gaps: dict[str, list[float]] = {}
    progress.start("refits for intervals", draws)
    for _ in range(draws):
        halves = [_resample(ids[half], rows, rng) for half in cut(ids, rng)]
        found, _kept = curves(take(base, tuned, *halves), light, (1.0,), rng)
        for name, (value,) in found.items():
            gaps.setdefault(name, []).append(found["concept"][0] - value)
        progress.advance()
    progress.stop()
    return gaps


def _resample(
    ids: np.ndarray, rows: Mapping[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    samples = np.unique(ids)
    chosen = rng.choice(samples, len(samples))
    return np.concatenate([rows[sample] for sample in chosen])
