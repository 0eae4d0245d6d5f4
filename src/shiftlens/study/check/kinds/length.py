"""``length``: whether answers became longer or shorter."""

from dataclasses import dataclass

from shiftlens.study.check.intervals import Units, mean_at
from shiftlens.study.check.rows import Run
from shiftlens.study.check.rules import (
    DIRECTIONS,
    RULES,
    Bounds,
    Measured,
    Precision,
    Rule,
    selected,
)


@RULES.register("length")
@dataclass(frozen=True)
class LengthRule(Rule):
    """The mean length of answers in words, tuned minus base, stays within the margin.

    Attributes:
        direction: which change counts: ``both``, ``more`` or ``less``.
    """

    direction: str = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("direction", DIRECTIONS)

    def measure(self, run: Run, precision: Precision) -> Measured:
        """The change over the rows that the rule asks for."""
        rows = selected(self, run)
        lengths = [(len(row.base.split()), len(row.tuned.split())) for row in rows]
        units = Units.of([float(b - a) for a, b in lengths], [row.group for row in rows])
        # A change that was not seen could empty an answer, or write the longest one again.
        longest = float(max(1, *(one for two in lengths for one in two)))
        ends = (-longest, longest)
        return Measured(
            mean_at(units, ends, precision.level, seed=precision.seed, draws=precision.draws),
            Bounds.of(self.margin, self.direction),
            units.n,
            units.pictures,
            "words of an answer, tuned minus base",
        )
