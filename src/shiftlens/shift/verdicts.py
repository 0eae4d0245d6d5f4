"""Verdicts: which concepts changed, which did not, and which the data cannot decide.

*changed*: the whole interval lies above the margin. *stable*: the whole interval lies below it.
*undecided*: the interval holds the margin, or the concept has too few pictures, or refits do not
find it again. Intervals are simultaneous over all concepts and statistics (max-T): the chance that
any one of them misses is 5 %, however many there are. They come from the refits that found the
concept again; how many did is its ``stability``, printed beside it.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.core.progress import Progress
from shiftlens.shift.effects import STATISTICS, Cells, pictures
from shiftlens.shift.margins import Margins
from shiftlens.shift.refits import Refits, Split, reference_effects, refit

CHANGED, STABLE, UNDECIDED = "changed", "stable", "undecided"

FEWEST_PICTURES = 10
"""Judging pictures that a concept needs for any verdict but undecided."""

_FOUND_AGAIN = 0.1  # share of refits that must find a concept for it to have an interval
_LEVEL = 95.0


@dataclass(frozen=True)
class Verdict:
    """One effect of one concept, judged.

    Attributes:
        statistic: ``moved`` (its mean change) or ``own`` (that minus the change of all).
        estimate: in spreads of the concept's own states; below zero means no more than noise.
        low, high: simultaneous 95 % interval from refits.
        margin: what counts as nothing.
        verdict: ``changed``, ``stable`` or ``undecided``.
        pictures: judging pictures of the concept.
        needs: about how many pictures of the concept would decide; ``None`` where it is decided,
            or where the effect is too close to the margin for any number to be named.
        why: why it is undecided; empty where it is not.
    """

    statistic: str
    estimate: float
    low: float
    high: float
    margin: float
    verdict: str
    pictures: int
    needs: int | None = None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on every concept at one site.

    Attributes:
        concepts: for each concept one verdict a statistic, by its name.
        stability: for each concept the share of refits that found it again.
        draws: refits behind the intervals.
        width: how many standard errors the simultaneous intervals reach to either side.
    """

    concepts: tuple[dict[str, Verdict], ...]
    stability: tuple[float, ...]
    draws: int
    width: float

    def decided(self, verdict: str, statistic: str = "moved") -> list[int]:
        """Indices of the concepts with a verdict."""
        return [i for i, c in enumerate(self.concepts) if c[statistic].verdict == verdict]


def judge(
    split: Split,
    learner: ConceptLearner,
    learned: Learned,
    margins: Margins,
    *,
    seed: int = 0,
    draws: int = 200,
    progress: Progress | None = None,
) -> Verdicts:
    """Judge every concept: learned on the estimation part, judged on the judging part.

    Args:
        split: states of both parts.
        learner: run again in every refit.
        learned: the concepts, from the estimation part of the same split.
        margins: what counts as nothing.
        seed: of the refits.
        draws: how many refits; 200 give intervals that are steady to about a tenth.
        progress: who is told.
    """
    k = len(learned.vectors)
    estimates = measured(split, learned)
    refits = refit(split, learner, learned, seed=seed, draws=draws, progress=progress)
    errors, width = simultaneous(estimates, refits)
    enough = _enough(split, learned)
    found: list[dict[str, Verdict]] = []
    for i in range(k):
        one = {
            name: pass_verdict(
                name,
                float(estimates[i, s]),
                float(width * errors[i, s]),
                margins.values[name],
                enough[i],
                float(refits.stability[i]),
            )
            for s, name in enumerate(STATISTICS)
        }
        found.append(one)
    return Verdicts(tuple(found), tuple(refits.stability.tolist()), draws, width)


def measured(split: Split, learned: Learned) -> np.ndarray:
    """Effects (k, statistics), NaN for concepts with too few pictures to be judged."""
    estimates = reference_effects(split, learned).numpy()
    few = np.asarray(_enough(split, learned)) < FEWEST_PICTURES
    return np.where(few[:, None], np.nan, estimates)


def simultaneous(estimates: np.ndarray, refits: Refits) -> tuple[np.ndarray, float]:
    """Standard errors (k, statistics), and how many of them hold all estimates at once.

    Errors are taken around the estimate, not around the refits' own mean: where refits lean to one
    side, the interval widens instead of missing its estimate.
    """
    gaps = refits.values - estimates
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(_mean(gaps**2))
        scaled = np.abs(gaps) / errors
    known = np.isfinite(scaled)
    worst = np.where(known, scaled, 0.0).reshape(len(scaled), -1).max(axis=1)
    return errors, float(np.percentile(worst, _LEVEL))


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return total / np.where(known.sum(axis=0) > 1, known.sum(axis=0), np.nan)


def _enough(split: Split, learned: Learned) -> list[int]:
    labels = learned.assign(split.judging_base)
    k = len(learned.vectors)
    nothing = split.judging_base[:, :1]
    return pictures(Cells.of(nothing, nothing, labels, split.judging_groups, k), k)


def pass_verdict(
    name: str, estimate: float, half: float, margin: float, n: int, stability: float
) -> Verdict:
    """The verdict that an estimate, half the width of its interval and a margin give.

    Args:
        name: of the statistic.
        estimate: what was measured.
        half: half the width of its simultaneous interval.
        margin: what counts as nothing; NaN where nothing says so.
        n: pictures behind the estimate.
        stability: share of refits that found the concept again.
    """

    def told(
        verdict: str, *, half: float = half, needs: int | None = None, why: str = ""
    ) -> Verdict:
        low, high = estimate - half, estimate + half
        return Verdict(name, estimate, low, high, margin, verdict, n, needs, why)

    if n < FEWEST_PICTURES:
        why = f"only {n} pictures of it to judge by"
        return told(UNDECIDED, half=math.nan, needs=FEWEST_PICTURES, why=why)
    if stability < _FOUND_AGAIN or not math.isfinite(half):
        why = f"refits find this concept again in {stability:.0%} of cases only"
        return told(UNDECIDED, why=why)
    if math.isnan(margin):
        return told(UNDECIDED, why="no margin says what counts as nothing")
    if estimate - half > margin:
        return told(CHANGED)
    if estimate + half < margin:
        return told(STABLE)
    needs = _needs(n, half, estimate - margin)
    return told(UNDECIDED, needs=needs, why="the interval holds the margin")


def _needs(n: int, half: float, gap: float) -> int | None:
    """Pictures at which the interval would no longer reach the margin: it shrinks as 1/sqrt(n)."""
    if abs(gap) < half / 30:  # nine hundred times the data, or more: no honest number
        return None
    return math.ceil(n * (half / abs(gap)) ** 2)


def summary(judged: Verdicts, statistic: str = "moved") -> dict[str, int]:
    """How many concepts have each verdict."""
    kinds = (CHANGED, STABLE, UNDECIDED)
    return {kind: len(judged.decided(kind, statistic)) for kind in kinds}
