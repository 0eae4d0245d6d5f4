"""What a rule is: something that must not move, a margin, and the verdict of an interval.

*pass*: the whole interval lies inside the margin. *fail*: it lies outside. *undecided*: it holds
the margin, or there are too few pictures. Nothing passes for want of data.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.core.intervals import Interval
from shiftlens.core.registry import Registry
from shiftlens.study.check.intervals import AtScale
from shiftlens.study.check.rows import Row, Run

PASS, FAIL, UNDECIDED = "pass", "fail", "undecided"

FEWEST = 20
"""Pictures below which every rule is undecided."""

DIRECTIONS = ("both", "more", "less")

_FARTHEST = 900  # times the data: beyond that the estimate sits on the margin
_DIGITS = 2  # of "about n"
_SHOWN = 8  # values that a message lists

RULES: "Registry[type[Rule]]" = Registry("kind of rule")
"""Rules by the name that a policy calls their kind."""

Label = str | int | float | bool
"""What a label of a sample may be compared with."""


@dataclass(frozen=True)
class Bounds:
    """What is allowed: strictly between ``low`` and ``high``, either of which may be infinite."""

    low: float
    high: float

    @staticmethod
    def of(margin: float, direction: str = "more") -> "Bounds":
        """A margin on one side of zero, or on ``both``."""
        low = -math.inf if direction == "more" else -margin
        return Bounds(low, math.inf if direction == "less" else margin)

    def verdict(self, interval: Interval) -> str:
        """*pass*, *fail* or *undecided* by the interval alone."""
        if interval.low > self.high or interval.high < self.low:
            return FAIL
        # Where there is no limit, an end that is not known does not matter.
        above = math.isinf(self.low) or self.low < interval.low
        below = math.isinf(self.high) or interval.high < self.high
        return PASS if above and below else UNDECIDED


@dataclass(frozen=True)
class Precision:
    """How intervals are made.

    Attributes:
        level: of each rule's two-sided interval.
        seed: of resamples.
        draws: resamples.
    """

    level: float = 0.95
    seed: int = 0
    draws: int = 2000


@dataclass(frozen=True)
class Measured:
    """What a rule found, before it is judged.

    Attributes:
        at: the interval with so many times the pictures.
        bounds: what is allowed.
        n: samples that the rule looked at.
        pictures: of them; "needs about n" counts these.
        size: pictures that the interval rests on, where that is another number.
        how: what was measured, in words.
        note: what the reader should know beside the numbers.
    """

    at: AtScale
    bounds: Bounds
    n: int
    pictures: int
    how: str
    size: int | None = None
    note: str = ""

    def verdict(self, scale: float = 1.0) -> str:
        """The verdict that so many times the pictures would give, the estimate being the same."""
        size = self.pictures if self.size is None else self.size
        if size * scale < FEWEST:
            return UNDECIDED
        return self.bounds.verdict(self.at(scale))

    def needs(self) -> int | None:
        """About how many pictures would decide; ``None`` where no honest number can be named.

        The interval is narrowed, its estimate left in place, until it clears the margin.
        """
        size = self.pictures if self.size is None else self.size
        most = _FARTHEST * max(1.0, FEWEST / max(1, size))
        low, high = 0.0, 1.0
        while self.verdict(high) == UNDECIDED:
            low, high = high, 2 * high
            if low >= most:
                return None
        while high - low > 0.01 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.verdict(middle) == UNDECIDED else (low, middle)
        return _round_up(self.pictures * high)


@dataclass(frozen=True)
class Rule(ABC):
    """What must not move, and how far it may.

    Attributes:
        name: of the rule, for people.
        margin: the smallest change that would matter, in the units of the kind.
        where: labels and the values, or lists of values, that a sample must have to be looked at.
        prompt_contains: what its prompt must contain, in any letter case.
    """

    name: str
    margin: float
    where: dict[str, Label | list[Label]] = field(default_factory=dict[str, Label | list[Label]])
    prompt_contains: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise DataError("a rule has an empty name", allowed="a name that people understand")
        if not 0 < self.margin < self.largest_margin:
            most = "" if math.isinf(self.largest_margin) else f" and below {self.largest_margin:g}"
            raise DataError(
                f"rule {self.name!r} has the margin {self.margin}",
                allowed=f"a number above 0{most}",
            )

    @property
    def largest_margin(self) -> float:
        """A margin lies between 0 and this: a change that nothing could exceed."""
        return math.inf

    @abstractmethod
    def measure(self, run: Run, precision: Precision) -> Measured:
        """Measure in a run what the rule is about.

        Raises:
            DataError: the run has nothing that the rule is about.
        """

    def _require(self, key: str, allowed: Sequence[str]) -> None:
        value = getattr(self, key)
        if value not in allowed:
            raise DataError(f"rule {self.name!r} has {key} = {value!r}", allowed=", ".join(allowed))


def selected(rule: Rule, run: Run) -> list[Row]:
    """Rows whose labels and prompt a rule asks for.

    Raises:
        DataError: there are none; the message says which labels, or values, there are.
    """
    rows = list(run.rows)
    for label, wanted in rule.where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        having = [row for row in rows if label in row.labels]
        if not having:
            raise DataError(
                f"rule {rule.name!r}: no sample has the label {label!r}",
                allowed=f"labels: {_listed({name for row in rows for name in row.labels})}",
            )
        rows = [row for row in having if any(_is(row.labels[label], one) for one in values)]
        if not rows:
            there = {value for row in having for value in _values(row.labels[label])}
            raise DataError(
                f"rule {rule.name!r}: no sample has {label} = {wanted!r}",
                allowed=f"values of {label}: {_listed(there)}",
            )
    part = rule.prompt_contains.casefold()
    asked = [row for row in rows if part in row.prompt.casefold()]
    if not asked:
        raise DataError(
            f"rule {rule.name!r}: no prompt contains {rule.prompt_contains!r}",
            allowed=f"prompts: {_listed({row.prompt for row in rows})}",
        )
    return asked


def labelled(rule: Rule, rows: Sequence[Row], label: str) -> list[Any]:
    """The label of every row.

    Raises:
        DataError: a row lacks it.
    """
    without = [row for row in rows if label not in row.labels]
    if without:
        names: Mapping[str, Any] = without[0].labels
        raise DataError(
            f"rule {rule.name!r}: sample {without[0].sample_id!r} has no label {label!r}",
            allowed=f"its labels: {_listed(set(names))}",
            remedy="give every sample the label, or choose samples with the rule's where",
        )
    return [row.labels[label] for row in rows]


def _is(found: Any, wanted: Label) -> bool:
    """Whether a label is a value, or a list that holds it; 1 and true are different values."""
    if isinstance(found, list):
        return any(_is(one, wanted) for one in found)
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def _values(found: Any) -> list[str]:
    return [repr(one) for one in (found if isinstance(found, list) else [found])]


def _listed(names: set[str]) -> str:
    """The first few names, in order."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more if ordered else "none"


def _round_up(n: float) -> int:
    """To two digits, because the number is about right and no more."""
    step = 10 ** max(0, math.floor(math.log10(max(1.0, n))) + 1 - _DIGITS)
    return math.ceil(n / step) * step
