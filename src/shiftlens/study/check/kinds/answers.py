"""``answers``: how many answers changed, or how much accuracy was lost."""

from dataclasses import dataclass
from typing import Any

from shiftlens.steering.outcomes import is_answer, words_of
from shiftlens.study.check.intervals import Units, mean_at, share_at
from shiftlens.study.check.rows import Row, Run
from shiftlens.study.check.rules import (
    RULES,
    Bounds,
    Measured,
    Precision,
    Rule,
    labelled,
    selected,
)

TEXT, FIRST_WORD, CORRECT = "text", "first_word", "correct"


@RULES.register("answers")
@dataclass(frozen=True)
class AnswersRule(Rule):
    """The share of changed answers, or the accuracy that was lost, stays below the margin.

    Attributes:
        by: ``text``, answers that differ in any word; ``first_word``, in the first one, whatever
            its letter case; ``correct``, accuracy of the base minus that of the tuned model.
        label: for ``correct``, the label with the right answer, or a list of right ones.
    """

    by: str = TEXT
    label: str = "answer"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("by", (TEXT, FIRST_WORD, CORRECT))

    @property
    def largest_margin(self) -> float:
        """Shares and losses reach 1."""
        return 1.0

    def measure(self, run: Run, precision: Precision) -> Measured:
        """The share, or the loss, over the rows that the rule asks for."""
        rows = selected(self, run)
        groups = [row.group for row in rows]
        if self.by == CORRECT:
            units = Units.of(self._lost(rows), groups)
            at = mean_at(
                units, (-1, 1), precision.level, seed=precision.seed, draws=precision.draws
            )
            how = f"accuracy lost: base minus tuned, against the label {self.label!r}"
        else:
            units = Units.of([float(self._changed(row)) for row in rows], groups)
            at = share_at(units, precision.level)
            where = "the first word" if self.by == FIRST_WORD else "any word"
            how = f"share of answers that differ in {where}"
        return Measured(at, Bounds.of(self.margin), units.n, units.pictures, how)

    def _changed(self, row: Row) -> bool:
        if self.by == FIRST_WORD:
            return words_of(row.base)[:1] != words_of(row.tuned)[:1]
        return row.base.split() != row.tuned.split()

    def _lost(self, rows: list[Row]) -> list[float]:
        """1 where a right answer became wrong, -1 where a wrong one became right."""
        answers = labelled(self, rows, self.label)
        return [
            float(_right(row.base, answer)) - float(_right(row.tuned, answer))
            for row, answer in zip(rows, answers, strict=True)
        ]


def _right(said: str, answer: Any) -> bool:
    """Whether a text is the answer, or one of them, and nothing else."""
    answers: list[Any] = answer if isinstance(answer, list) else [answer]
    return any(is_answer(said, str(one)) for one in answers)
