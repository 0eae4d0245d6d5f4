"""``concept``: how far a concept of the diff moved, by the interval that the diff gave it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from shiftlens.core.errors import DataError, StoreError
from shiftlens.core.intervals import Interval
from shiftlens.study.check.intervals import AtScale
from shiftlens.study.check.rows import Run
from shiftlens.study.check.rules import (
    FEWEST,
    RULES,
    Bounds,
    Measured,
    Precision,
    Rule,
)

MOVED, OWN = "moved", "own"
ALL, ANY = "all", "any"

_LEVEL = 0.95  # of the intervals in diff.json, all of them at once
_UNKNOWN = Interval(math.nan, -math.inf, math.inf)


@RULES.register("concept")
@dataclass(frozen=True)
class ConceptRule(Rule):
    """The effect of a concept, in spreads of its own states, stays below the margin.

    Attributes:
        concept: its index; a word that it says; ``all``, every concept has to stay; or ``any``, it
            is enough that one stays.
        effect: ``moved``, its mean change, or ``own``, that minus the change of all samples.
    """

    concept: int | str = ALL
    effect: str = MOVED

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("effect", (MOVED, OWN))
        if self.where or self.prompt_contains:
            raise DataError(
                f"rule {self.name!r}: a concept has its own samples",
                allowed="where and prompt_contains with other kinds",
                remedy="run a diff on the samples that are meant",
            )

    def measure(self, run: Run, precision: Precision) -> Measured:
        """The concept's interval, or that of the largest or smallest effect over all concepts."""
        found = [_Effect.of(one, self.effect, run) for one in run.concepts]
        if not found:
            raise DataError(f"rule {self.name!r}: the diff has no concepts")
        widen = _widen(precision.level)
        how = f"effect {self.effect!r} in spreads of the states, simultaneous over concepts"
        bounds, n, pictures = Bounds.of(self.margin), len(run.rows), run.pictures
        if self.concept in (ALL, ANY):
            worst = max if self.concept == ALL else min
            few = sum(one.at(widen, 1.0) is _UNKNOWN for one in found)
            few_note = f"{few} of {len(found)} concepts have too few pictures, or no interval"
            note = few_note if few else ""
            return Measured(
                _over(found, worst, widen), bounds, n, pictures, how, size=FEWEST, note=note
            )
        one = found[find_concept(self.name, self.concept, run.concepts)]

        def at(scale: float) -> Interval:
            return one.scaled(widen, scale)

        return Measured(at, bounds, n, pictures, how, size=one.pictures, note=one.told())


@dataclass(frozen=True)
class _Effect:
    """One effect of one concept, as diff.json has it; NaN where that has ``null``."""

    estimate: float
    half: float
    pictures: int
    why: str
    words: str

    @staticmethod
    def of(concept: Mapping[str, Any], effect: str, run: Run) -> "_Effect":
        try:
            told = concept[effect]
            estimate, low, high = (_number(told[key]) for key in ("estimate", "low", "high"))
            words = ", ".join(concept["contrastive_base"][:3])
            pictures = int(told["pictures"])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"diff.json of {run.path} tells no effect {effect!r} of a concept ({error})",
                remedy="run the diff again",
            ) from error
        return _Effect(estimate, (high - low) / 2, pictures, str(told.get("why", "")), words)

    def scaled(self, widen: float, scale: float) -> Interval:
        """The interval, shrinking as one over the root of the number of pictures."""
        if not math.isfinite(self.estimate) or not math.isfinite(self.half):
            return _UNKNOWN
        half = self.half * widen / math.sqrt(scale)
        return Interval(self.estimate, self.estimate - half, self.estimate + half)

    def at(self, widen: float, scale: float) -> Interval:
        """The same, unknown where the pictures would be too few."""
        return self.scaled(widen, scale) if self.pictures * scale >= FEWEST else _UNKNOWN

    def told(self) -> str:
        """How many pictures there are, and why there is no interval."""
        why = "" if math.isfinite(self.half) else f"; {self.why or 'it has no interval'}"
        return f"concept {self.words}: {self.pictures} pictures to judge by{why}"


def _over(found: Sequence[_Effect], worst: Any, widen: float) -> AtScale:
    """The largest, or smallest, effect: its ends are the largest, or smallest, of all ends."""

    def at(scale: float) -> Interval:
        each = [one.at(widen, scale) for one in found]
        known = [one.estimate for one in each if math.isfinite(one.estimate)]
        return Interval(
            worst(known) if known else math.nan,
            worst(one.low for one in each),
            worst(one.high for one in each),
        )

    return at


def _widen(level: float) -> float:
    """From the level of diff.json to a higher one.

    Of one normal effect this is exact; the largest of several has thinner tails, so that their
    intervals become a little wider than need be.
    """
    normal = NormalDist()
    return normal.inv_cdf(0.5 + level / 2) / normal.inv_cdf(0.5 + _LEVEL / 2)


def find_concept(rule: str, concept: int | str, concepts: Sequence[Mapping[str, Any]]) -> int:
    """Place of a concept given by its index or by a word, as ``Concepts.find`` does.

    Raises:
        DataError: no such concept, or several; the message lists what there is.
    """
    heads = [one["contrastive_base"][:1] for one in concepts]
    whole = [one["contrastive_base"] for one in concepts]
    found: list[int] = []
    if isinstance(concept, int):
        found = [i for i, one in enumerate(concepts) if one["index"] == concept]
    else:
        for lists in (heads, whole, [one["words_base"] for one in concepts]):
            found = [i for i, words in enumerate(lists) if concept in words]
            if found:
                break
    if len(found) == 1:
        return found[0]
    said = "; ".join(
        f"{one['index']}: {', '.join(words[:3])}"
        for one, words in zip(concepts, whole, strict=True)
    )
    problem = f"{len(found)} concepts say" if found else "there is no concept"
    raise DataError(
        f"rule {rule!r}: {problem} {concept!r}",
        allowed=f"all, any, or one of {said}",
        remedy="choose one by its number",
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
