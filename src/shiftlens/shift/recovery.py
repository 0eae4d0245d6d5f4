"""How much of what fine-tuning did to concepts comes back when shift vectors are added.

Judged on samples (ours, reported first): concepts and shifts come from the estimation half of the
samples; the target of concept k is the mean tuned state of the *judging* half's samples whose base
state is nearest to it. A cosine is centred: the tuned mean of the estimation half is
subtracted from both sides, because states share a large common direction that flatters every
comparison.

Halves are cut by sample, so that no sample helps to judge itself. With k-means, base centroid plus
shift *is* the estimation half's tuned mean at strength 1; only the other half can say whether that
generalises.

Intervals come from refits (``intervals.py``): samples are resampled, cut, and everything is learned
again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.shapes import Acts
from shiftlens.shift.halves import Pairs, Resampler, cut
from shiftlens.shift.intervals import CUTS_EACH, Numbers, Refits
from shiftlens.shift.judging import FEWEST, Judged, choose_strength, judge
from shiftlens.shift.states_only import require_states
from shiftlens.shift.vectors import differences

STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
_STEP = 0.1  # of the grid that the best strength is chosen from
_CUTS = 4  # random cuts into halves that the curves are averaged over, each used both ways


@dataclass(frozen=True)
class Best:
    """The best strength of the concepts' own shifts, cross-fitted.

    It is chosen within the estimation half, cut once more, and its value is read in the judging
    half, which had no say. Chosen from half as many samples, whose shifts are noisier, it leans
    towards small steps.

    Attributes:
        strength: mean of the strengths chosen.
        value: centred cosine at the strengths chosen.
        gain: that value less the one at strength 1, with a 95 % interval from refits.
    """

    strength: float
    value: float
    gain: Interval


@dataclass(frozen=True)
class Recovery:
    """Curves over strength, and paired differences with their intervals.

    Attributes:
        strengths: the amounts that were added.
        centred_cosine: for ``concept`` and each control, the mean centred cosine at each strength.
        differences: at strength 1, ``concept_minus_<control>`` with a 95 % interval from refits:
            samples resampled within halves, the learner run again every time.
        concepts_judged: mean number of concepts that had enough judging samples.
        ceilings: ``tuned_mean``, the estimation half's tuned mean of the concept in place of the
            shifted concept, and ``oracle``, what its true tuned mean would score.
        shares: (concept - global) over (ceiling - global), for both; ``None`` where the ceiling is
            not above the global shift, so that there is nothing to have a share of.
        best: the cross-fitted strength; ``None`` where the samples are too few.
    """

    strengths: tuple[float, ...]
    centred_cosine: Mapping[str, tuple[float, ...]]
    differences: Mapping[str, Interval]
    concepts_judged: float
    ceilings: Mapping[str, float]
    shares: Mapping[str, Interval | None]
    best: Best | None

    def to_dict(self) -> dict[str, Any]:
        """JSON for reports and metrics."""
        share, oracle = (self.shares[name] for name in ("tuned_mean", "oracle"))
        best = self.best and {
            "strength": self.best.strength,
            "value": self.best.value,
            "gain": self.best.gain.to_dict(),
        }
        return {
            "strength": list(self.strengths),
            "centred_cosine": {name: list(curve) for name, curve in self.centred_cosine.items()},
            **{name: interval.to_dict() for name, interval in self.differences.items()},
            "concepts_judged": self.concepts_judged,
            "ceiling": dict(self.ceilings),
            "share_of_ceiling": share and share.to_dict(),
            "share_of_oracle": oracle and oracle.to_dict(),
            "best": best,
        }


@dataclass(frozen=True)
class _Fold:
    """A judging half, and the strength chosen without it with its value there."""

    judged: Judged
    chosen: float | None
    value: float

    def numbers(self, at_one: int) -> Numbers:
        """Everything that has an interval, at strength 1."""
        return {**self.judged.at(at_one), "best": self.value}


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
    require_states(learner)
    differences(base, tuned)
    if 1.0 not in strengths:
        raise LearnError(
            f"strengths {tuple(strengths)} lack 1", remedy="differences are taken there"
        )
    pairs = Pairs.of(base, tuned, sample_ids)
    _require_halves(pairs, learner)
    rng = np.random.default_rng(seed)
    folds: list[_Fold] = []
    for _ in range(_CUTS):
        found = _both_ways(pairs, cut(pairs.samples, rng), learner, strengths, rng)
        # A half in which no concept has enough rows judges nothing.
        folds += [fold for fold in found if fold.judged.kept]
    if not folds:
        raise LearnError(
            f"no concept of {learner.k} has {FEWEST} rows in a judging half",
            remedy="harvest more samples, or choose a smaller k",
        )
    refits = _refits(pairs, learner, rng, draws, progress or Silent())
    return _summed(folds, tuple(strengths), refits)


def fewest_samples(learner: ConceptLearner) -> int:
    """How many samples (or pictures) two halves need, at the least."""
    return 2 * max(learner.k, 2 * FEWEST)


def _require_halves(pairs: Pairs, learner: ConceptLearner) -> None:
    samples, needed = len(np.unique(pairs.samples)), fewest_samples(learner)
    if samples < needed:
        raise LearnError(
            f"{samples} samples are too few to judge {learner.k} concepts on held-out halves",
            allowed=f"at least {needed} samples",
            remedy="harvest more samples, or choose a smaller k",
        )


def _both_ways(
    pairs: Pairs,
    halves: tuple[np.ndarray, np.ndarray],
    learner: ConceptLearner,
    strengths: Sequence[float],
    rng: np.random.Generator,
) -> list[_Fold]:
    """Each half judged by the other."""
    first, second = halves
    folds: list[_Fold] = []
    for estimation, judging in ((first, second), (second, first)):
        chosen = choose_strength(pairs, estimation, learner, _grid(strengths), rng)
        asked = [*strengths, *([] if chosen is None else [chosen])]
        judged = judge(pairs.halves(estimation, judging), learner, asked, rng)
        value = float("nan") if chosen is None else judged.curves["concept"][-1]
        curves = {name: curve[: len(strengths)] for name, curve in judged.curves.items()}
        folds.append(_Fold(replace(judged, curves=curves), chosen, value))
    return folds


def _grid(strengths: Sequence[float]) -> list[float]:
    """Strengths to choose from: tenths from the least to the largest; refits are told one only."""
    low, high = min(0.0, *strengths), max(2.0, *strengths)
    return np.round(np.arange(low, high + _STEP / 2, _STEP), 10).tolist()


def _refits(
    pairs: Pairs,
    learner: ConceptLearner,
    rng: np.random.Generator,
    draws: int,
    progress: Progress,
) -> Refits:
    """Numbers at strength 1 when samples are resampled, cut in halves, and all is learned again."""
    resampler = Resampler(pairs.samples)
    light = replace(learner, n_starts=1) if hasattr(learner, "n_starts") else learner  # pyright: ignore[reportCallIssue,reportArgumentType]
    found: list[list[Numbers]] = []
    progress.start("refits for intervals", draws)
    try:
        for _ in range(-(-draws // CUTS_EACH)):
            rows = resampler.draw(rng)
            found.append([])
            for _ in range(CUTS_EACH):
                halves = [rows[half] for half in cut(pairs.samples[rows], rng)]
                folds = _both_ways(pairs, (halves[0], halves[1]), light, (1.0,), rng)
                found[-1].append(_mean([fold.numbers(0) for fold in folds]))
                progress.advance()
    finally:
        progress.stop()
    return Refits.of(found, _CUTS)


def _mean(folds: Sequence[Numbers]) -> Numbers:
    """Mean of each number over folds; one that a fold does not know is not known."""
    return {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}


def _summed(folds: Sequence[_Fold], strengths: tuple[float, ...], refits: Refits) -> Recovery:
    at_one = strengths.index(1.0)
    numbers = _mean([fold.numbers(at_one) for fold in folds])
    names = list(folds[0].judged.curves)
    curves = {
        name: tuple(np.mean([fold.judged.curves[name] for fold in folds], axis=0).tolist())
        for name in names
    }
    room = {name: refits.share(numbers, name) for name in ("ceiling", "oracle")}
    return Recovery(
        strengths=strengths,
        centred_cosine=curves,
        differences={
            f"concept_minus_{name}": refits.difference(numbers, "concept", name)
            for name in names
            if name != "concept"
        },
        concepts_judged=float(np.mean([fold.judged.kept for fold in folds])),
        ceilings={"tuned_mean": numbers["ceiling"], "oracle": numbers["oracle"]},
        shares={"tuned_mean": room["ceiling"], "oracle": room["oracle"]},
        best=_best(folds, numbers, refits),
    )


def _best(folds: Sequence[_Fold], numbers: Numbers, refits: Refits) -> Best | None:
    chosen = [fold.chosen for fold in folds if fold.chosen is not None]
    if len(chosen) < len(folds) or not refits.knows("best"):
        return None
    gain = refits.difference(numbers, "best", "concept")
    return Best(float(np.mean(chosen)), numbers["best"], gain)
