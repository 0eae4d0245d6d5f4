"""How many concepts: the most that other pictures of the same kind still find again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Acts
from shiftlens.shift.matching import shared, shared_partners

GRID = (2, 3, 4, 6, 8, 12, 16, 20, 30, 40)

_FEWEST_ROWS = 20  # a concept, so that its mean is one
_STABLE = 0.7  # mean share of refits that find a concept again
_SAME = 0.5  # Jaccard overlap from which it is the same one
_REFITS = 10


@dataclass(frozen=True)
class Choice:
    """The k that was chosen, and the table that it was chosen from.

    Attributes:
        k: number of concepts.
        stability: for each k that was tried, the mean share of refits that found a concept again.
    """

    k: int
    stability: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "k": self.k,
            "stability": {str(k): share for k, share in self.stability.items()},
            "rule": f"the largest k whose concepts {_STABLE:.0%} of refits find again",
        }


def k_by_refits(
    acts: Acts, learner: ConceptLearner, *, grid: Sequence[int] = GRID, seed: int = 0
) -> Choice:
    """The largest k that is stable under refits; the most stable one where none is.

    Args:
        acts: (n, d) states that nothing is judged on.
        learner: run again for each k on bootstrap samples, with a single start.
        grid: numbers to try; those with fewer than 20 rows a concept are left out.
        seed: of the resamples.

    Raises:
        LearnError: fewer than 40 rows.
    """
    tried = [k for k in grid if k >= 2 and len(acts) >= _FEWEST_ROWS * k]
    if not tried:
        raise LearnError(
            f"{len(acts)} rows are too few to choose a number of concepts",
            allowed=f"at least {2 * _FEWEST_ROWS}",
            remedy="give more samples, or name k",
        )
    found = {k: stability(acts, replace(learner, k=k), seed=seed) for k in tried}  # pyright: ignore[reportCallIssue,reportArgumentType]
    stable = [k for k, share in found.items() if share >= _STABLE]
    return Choice(max(stable) if stable else max(found, key=lambda k: found[k]), found)


def stability(acts: Acts, learner: ConceptLearner, *, seed: int = 0) -> float:
    """Mean share of refits on bootstrap samples that find a concept again, over the concepts."""
    rng, k = np.random.default_rng([seed, learner.k]), learner.k
    reference = learner.fit(acts).assign(acts)
    again: list[float] = []
    for draw in range(_REFITS):
        rows = torch.from_numpy(rng.integers(0, len(acts), len(acts)))
        refit = replace(learner, seed=seed + draw + 1)  # pyright: ignore[reportCallIssue,reportArgumentType]
        labels = refit.fit(acts[rows]).assign(acts)
        _, overlap = shared_partners(shared(reference, labels, k, k))
        again.append(float((overlap >= _SAME).mean()))
    return float(np.mean(again))
