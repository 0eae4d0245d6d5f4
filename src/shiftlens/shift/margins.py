"""Margins: how much a fine-tune moves concepts that teaches nothing.

The null of every verdict. With equal inputs two models are compared without sampling noise, so
"the shift differs from zero" is always true; what is asked instead is whether it exceeds what
*placebo* adapters do, trained by the same recipe on the base's own sampled responses.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shiftlens.core.errors import LearnError
from shiftlens.shift.effects import STATISTICS

FEWEST_PLACEBOS = 3
_FLOOR = 1e-3  # of a spread: effects below it are alike, and their logarithms must not run away


@dataclass(frozen=True)
class Margins:
    """The largest effect that counts as nothing, in spreads, for each statistic.

    Attributes:
        values: by statistic.
        source: ``placebos``, ``user`` or ``none`` (every verdict is then undecided).
        placebos: for each placebo its largest effect over the concepts, by statistic.
    """

    values: Mapping[str, float]
    source: str
    placebos: tuple[Mapping[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            **self.values,
            "source": self.source,
            "placebos": [dict(one) for one in self.placebos],
        }

    @staticmethod
    def named(margin: float) -> "Margins":
        """One margin for all statistics, named by the user where the recipe is not known.

        Raises:
            LearnError: it is not a positive number.
        """
        if not (math.isfinite(margin) and margin > 0):
            raise LearnError(f"the margin {margin!r} is not possible", allowed="a number above 0")
        return Margins(dict.fromkeys(STATISTICS, float(margin)), "user")

    @staticmethod
    def none() -> "Margins":
        """No margin: effects have intervals, and nothing is judged."""
        return Margins(dict.fromkeys(STATISTICS, math.nan), "none")

    @staticmethod
    def from_placebos(found: Sequence[np.ndarray]) -> "Margins":
        """What one more placebo would stay below in 95 of 100 cases, and no less than the largest.

        The largest of a few placebos is beaten by the next one too often: with five of them, once
        in six. So the margin is the upper 95 % prediction limit for one more placebo, taken on the
        logarithms, of the largest effect over all concepts.

        Args:
            found: for each placebo its effects (k, statistics); NaN where a concept has too few
                pictures to be judged.

        Raises:
            LearnError: fewer than three placebos, or a placebo without any judged concept.
        """
        if len(found) < FEWEST_PLACEBOS:
            raise LearnError(
                f"{len(found)} placebos do not tell how far placebos scatter",
                allowed=f"at least {FEWEST_PLACEBOS}, better 5",
                remedy="train more (shiftlens placebo --seeds 5), or name a margin",
            )
        if any(not np.isfinite(one).any(axis=0).all() for one in found):
            raise LearnError(
                "no concept has enough pictures to measure the placebos",
                remedy="give more samples, or choose a smaller k",
            )
        worst = np.stack([np.nanmax(one, axis=0) for one in found])
        values = {name: _limit(worst[:, i]) for i, name in enumerate(STATISTICS)}
        placebos: list[Mapping[str, float]] = [
            {name: float(row[i]) for i, name in enumerate(STATISTICS)} for row in worst
        ]
        return Margins(values, "placebos", tuple(placebos))


def _limit(worst: np.ndarray) -> float:
    from scipy.stats import t

    logs, n = np.log(np.maximum(worst, _FLOOR)), len(worst)
    upper = logs.mean() + t.ppf(0.95, n - 1) * logs.std(ddof=1) * math.sqrt(1 + 1 / n)
    return float(max(math.exp(upper), worst.max()))
