"""``divergence``: how far apart the two models' next words are on the base's text."""

from dataclasses import dataclass

import numpy as np

from shiftlens.core.errors import DataError
from shiftlens.study.check.intervals import Units, mean_at, quantile_at
from shiftlens.study.check.rows import Run
from shiftlens.study.check.rules import RULES, Bounds, Measured, Precision, Rule, selected


@RULES.register("divergence")
@dataclass(frozen=True)
class DivergenceRule(Rule):
    """The divergence KL(base || tuned), averaged over an answer's tokens, stays below the margin.

    Attributes:
        quantile: judge this quantile over the answers in place of their mean: with 0.95, all but
            one answer in twenty stay below the margin.
        largest: nats that an answer of the kind that was not seen could have, for the mean; where
            the data show more, that is taken.
    """

    quantile: float | None = None
    largest: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantile is not None and not 0 < self.quantile < 1:
            raise DataError(
                f"rule {self.name!r} has quantile = {self.quantile}", allowed="between 0 and 1"
            )
        if not 0 < self.largest < np.inf:
            raise DataError(f"rule {self.name!r} has largest = {self.largest}", allowed="above 0")

    def measure(self, run: Run, precision: Precision) -> Measured:
        """The mean, or the quantile, over the rows that the rule asks for."""
        chosen = selected(self, run)
        rows = [row for row in chosen if row.divergence]
        if not rows:
            raise DataError(f"rule {self.name!r}: no answer of the base has a token")
        values = [float(np.mean(row.divergence)) for row in rows]
        units = Units.of(values, [row.group for row in rows])
        if self.quantile is None:
            ends = (0.0, max(self.largest, *values))
            at = mean_at(units, ends, precision.level, seed=precision.seed, draws=precision.draws)
            how = "mean divergence in nats a token"
        else:
            at = quantile_at(units, self.quantile, precision.level)
            how = f"quantile {self.quantile:g} of the divergence in nats a token"
        left_out = len(chosen) - len(rows)
        return Measured(
            at,
            Bounds.of(self.margin),
            units.n,
            units.pictures,
            how,
            note=f"{left_out} empty answers left out" if left_out else "",
        )
