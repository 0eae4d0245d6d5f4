"""``Choice``: every k that was tried, which one was chosen, and the rule that chose it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from shiftlens.core.intervals import Interval

SHARE = 0.95
"""Of the best k's held-out reconstruction, what a smaller k must reach."""

STABLE = 0.5
"""Of the way from the match of random samples to a perfect one, what two halves must agree."""


@dataclass(frozen=True)
class Spread:
    """A figure that several pairs of fits give.

    Attributes:
        mean: over the pairs.
        lowest: of the pairs; not the end of an interval, since pairs share fits.
        highest: of the pairs.
    """

    mean: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(sum(values) / len(values), min(values), max(values))


@dataclass(frozen=True)
class TriedK:
    """One k, learned on each half of the pictures with every seed.

    Every figure stands beside that of ``k`` random samples, taken as concepts and encoded in the
    same way.

    Attributes:
        k: number of concepts.
        reconstruction: share of the variance of *the other half* that the concepts explain beside
            the one mean of their own half (R squared, in the learner's space); below 0 where they
            are worse than it. The interval resamples pictures and holds the concepts fixed.
        random_reconstruction: the same for random samples.
        seeds: mean cosine of matched concepts, between seeds on one half.
        halves: the same between halves.
        random_halves: the same for random samples of the two halves.
        seeds_agreement: adjusted mutual information of the rows' concepts between seeds; ``None``
            for signed codes, whose sign is arbitrary, and with it the concept of a row.
        halves_agreement: the same between halves.
        overlap: share of its words that a concept has in common with another one; ``None`` without
            words.
        random_overlap: the same for random samples.
        converged: share of fits that converged; ``None`` where the learner does not say.
    """

    k: int
    reconstruction: Interval
    random_reconstruction: Interval
    seeds: Spread
    halves: Spread
    random_halves: Spread
    seeds_agreement: Spread | None = None
    halves_agreement: Spread | None = None
    overlap: float | None = None
    random_overlap: float | None = None
    converged: float | None = None

    @property
    def stability(self) -> float:
        """How far the halves' match lies on the way from random samples to 1; 0 is chance."""
        chance = self.random_halves.mean
        return (self.halves.mean - chance) / (1 - chance) if chance < 1 else 0.0

    def is_stable(self, stable: float) -> bool:
        """Whether the halves find the same concepts, beyond what random samples do."""
        return self.stability >= stable

    @property
    def explains(self) -> bool:
        """Whether held-out rows are surely better described than by their mean and by chance."""
        beaten = self.reconstruction.estimate > self.random_reconstruction.estimate
        return self.reconstruction.low > 0 and beaten

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {**asdict(self), "stability": self.stability, "explains": self.explains}


@dataclass(frozen=True)
class Choice:
    """What ``choose_k`` found.

    Attributes:
        tried: every k, ascending.
        chosen: the k that the rule chose; ``None`` where it chose none.
        reason: why that one, or why none.
        share: see ``SHARE``.
        stable: see ``STABLE``.
        learner: name and options of the learner, without k and seed.
        dominant: the few dimensions that carry most of the variance, and their share; empty where
            there are none.
        n: rows that were measured.
        of: rows that there are; more than ``n`` where a sample was measured.
        groups: pictures among the rows that were measured.
        n_seeds: seeds of each half.
        seed: of the sample, the halves, the learner and the resampling.
    """

    tried: tuple[TriedK, ...]
    chosen: int | None
    reason: str
    share: float
    stable: float
    learner: dict[str, Any]
    dominant: dict[str, Any]
    n: int
    of: int
    groups: int
    n_seeds: int
    seed: int

    @property
    def rule(self) -> str:
        """The rule, which was fixed before any k was tried."""
        return (
            "Stable is a k whose concepts, learned on two halves of the pictures, match at least "
            f"{_percent(self.stable)} of the way from random samples to a perfect match; and it "
            "must explain more of the other half's variance than its mean, by its whole interval, "
            "and than random samples do. Chosen is the smallest such k that explains at least "
            f"{_percent(self.share)} of what the best of them explains, give or take one standard "
            "error."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        rows = [{**one.to_dict(), "stable": one.is_stable(self.stable)} for one in self.tried]
        return {
            "kind": "choice",
            "schema": 1,
            "chosen": self.chosen,
            "reason": self.reason,
            "rule": self.rule,
            "share": self.share,
            "stable": self.stable,
            "learner": self.learner,
            **self.dominant,
            "rows": {"measured": self.n, "of": self.of, "pictures": self.groups},
            "n_seeds": self.n_seeds,
            "seed": self.seed,
            "tried": rows,
        }


def choose(
    tried: Sequence[TriedK], slack: Float[np.ndarray, "m m"], *, share: float, stable: float
) -> tuple[int | None, str]:
    """Apply the rule of ``Choice.rule``.

    Args:
        tried: every k, ascending.
        slack: for each of the m k and each as the best one, one standard error of the difference
            between its reconstruction and ``share`` of the best one's.
        share: see ``SHARE``.
        stable: see ``STABLE``.

    Returns:
        the k, or ``None``, and why.
    """
    held = [at for at, one in enumerate(tried) if one.is_stable(stable) and one.explains]
    if not held:
        return None, _undecided(tried, stable)
    best = max(held, key=lambda at: tried[at].reconstruction.estimate)
    wanted = share * tried[best].reconstruction.estimate
    fits = [at for at in held if tried[at].reconstruction.estimate + slack[at][best] >= wanted]
    chosen = tried[fits[0]]
    found, most = chosen.reconstruction.estimate, tried[best].reconstruction.estimate
    if fits[0] == best:
        alone, least = len(held) == 1, fits[0] == held[0]
        why = "the only stable one" if alone else "the smallest stable one, and it explains most"
        why = why if alone or least else "every smaller stable one explains too little"
        # Without an end above it the curve may go on: the rule has not seen where it bends.
        last = 1 < len(tried) == best + 1
        more = "; no larger k was tried, and one may explain more" if last else ""
        return chosen.k, f"{why}: {found:.2f} of the other half's variance{more}"
    return chosen.k, (
        f"the smallest stable one that explains nearly as much as {tried[best].k} concepts do: "
        f"{found:.2f} and {most:.2f} of the other half's variance"
    )


def _undecided(tried: Sequence[TriedK], stable: float) -> str:
    if not any(one.explains for one in tried):
        return "undecided: no k explains rows of the other half better than their mean does"
    if not any(one.is_stable(stable) for one in tried):
        best = max(tried, key=lambda one: one.stability)
        return (
            f"undecided: the two halves find different concepts at every k; the nearest, {best.k}, "
            f"goes {_percent(max(0.0, best.stability))} of the way from random samples to a "
            "perfect match"
        )
    return "undecided: where concepts are stable they explain too little, and the other way round"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
