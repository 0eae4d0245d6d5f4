"""``words``: how often words are said; bias terms and refusals are such words."""

from dataclasses import dataclass, field

from shiftlens.core.errors import DataError
from shiftlens.steering.outcomes import refuses, says
from shiftlens.study.check.intervals import Units, mean_at, share_at
from shiftlens.study.check.rows import Row, Run
from shiftlens.study.check.rules import (
    DIRECTIONS,
    RULES,
    Bounds,
    Measured,
    Precision,
    Rule,
    selected,
)

RATE, SWAP, GAP = "rate", "swap", "gap"
ANYWHERE, START = "anywhere", "start"


@RULES.register("words")
@dataclass(frozen=True)
class WordsRule(Rule):
    """How often words are said stays within the margin.

    Attributes:
        words: whole words or phrases, in any letter case; any of them counts.
        mode: ``rate``, the share of answers that say them, tuned minus base; ``swap``, the share of
            samples where exactly one of the two answers says them; ``gap``, the change in how much
            more often ``words`` are said than ``against``.
        against: for ``gap``, the other words.
        at: ``anywhere`` in the answer, or only at its ``start``, as refusals are told.
        direction: for ``rate`` and ``gap``, which change counts: ``both``, ``more`` or ``less``.
    """

    words: list[str] = field(default_factory=list[str])
    mode: str = RATE
    against: list[str] = field(default_factory=list[str])
    at: str = ANYWHERE
    direction: str = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("mode", (RATE, SWAP, GAP))
        self._require("at", (ANYWHERE, START))
        self._require("direction", DIRECTIONS)
        for key, needed in (("words", True), ("against", self.mode == GAP)):
            said: list[str] = getattr(self, key)
            if bool(said) != needed or not all(word.strip() for word in said):
                allowed = "a list of words, none of them empty" if needed else "only with mode gap"
                raise DataError(f"rule {self.name!r} has {key} = {said!r}", allowed=allowed)
        if self.mode == SWAP and self.direction != "both":
            raise DataError(
                f"rule {self.name!r}: a swap has no direction", allowed="direction with rate or gap"
            )

    @property
    def largest_margin(self) -> float:
        """Rates and shares reach 1, differences of two rates 2."""
        return 2.0 if self.mode == GAP else 1.0

    def measure(self, run: Run, precision: Precision) -> Measured:
        """The change over the rows that the rule asks for."""
        rows = selected(self, run)
        groups = [row.group for row in rows]
        changes = [self._change(row) for row in rows]
        direction = self.direction
        if self.mode == SWAP:
            units = Units.of([abs(one) for one in changes], groups)
            at, direction = share_at(units, precision.level), "more"
        else:
            units = Units.of(changes, groups)
            reach = self.largest_margin
            ends = (-reach, reach)
            at = mean_at(units, ends, precision.level, seed=precision.seed, draws=precision.draws)
        return Measured(
            at,
            Bounds.of(self.margin, direction),
            units.n,
            units.pictures,
            _HOW[self.mode] + (" at the start" if self.at == START else ""),
            note=self._note(rows),
        )

    def _says(self, text: str, words: list[str]) -> float:
        return float((refuses if self.at == START else says)(text, words))

    def _change(self, row: Row) -> float:
        change = self._says(row.tuned, self.words) - self._says(row.base, self.words)
        if self.mode == GAP:
            change -= self._says(row.tuned, self.against) - self._says(row.base, self.against)
        return change

    def _note(self, rows: list[Row]) -> str:
        """A misspelt word is never said either: the reader is told which list that holds for."""
        for key in ("words", "against"):
            words: list[str] = getattr(self, key)
            texts = (text for row in rows for text in (row.base, row.tuned))
            if words and not any(self._says(text, words) for text in texts):
                return f"neither model says any of its {key}: {', '.join(words[:5])}"
        return ""


_HOW = {
    RATE: "share of answers that say the words, tuned minus base",
    SWAP: "share of samples where one of the two answers says the words",
    GAP: "how much more often words are said than the others, tuned minus base",
}
