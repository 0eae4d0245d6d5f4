"""``Line``: one measure of one arm on one trial, with its intervals and tests."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.core.intervals import Interval, McNemar, mcnemar
from shiftlens.steering.evaluating.judging import Judged, columns_of
from shiftlens.steering.evaluating.trials import Trial
from shiftlens.steering.searching.figures import Scored, mean, worsening
from shiftlens.steering.tasks.task import Measure


@dataclass(frozen=True)
class Line:
    """One measure of one arm on one trial.

    Attributes:
        arm: who answered.
        trial: what was asked.
        measure: short name of what was counted.
        label: for people.
        role: effect or side effect.
        higher_is_better: which way is good.
        n: samples that it says something about.
        value: mean over them, or share.
        change: minus the unsteered model, paired by sample; ``None`` for the unsteered one itself,
            and where no sample has both.
        above_random: minus the mean of random directions of equal length, paired by sample. The
            directions count as given: ``random`` shows how much they differ.
        test: McNemar's test against the unsteered model, where every score is yes or no. Where
            samples share a picture, ``p`` is that of a sign test over pictures.
        random: the mean under each random direction that says anything.
    """

    arm: str
    trial: str
    measure: str
    label: str
    role: str
    higher_is_better: bool
    n: int
    value: Interval
    change: Interval | None = None
    above_random: Interval | None = None
    test: McNemar | None = None
    random: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        found: dict[str, Any] = {
            key: getattr(self, key)
            for key in ("arm", "trial", "measure", "label", "role", "higher_is_better", "n")
        }
        for key in ("value", "change", "above_random", "test"):
            part = getattr(self, key)
            found[key] = None if part is None else part.to_dict()
        return {**found, "random": list(self.random)}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "Line":
        """The line that ``to_dict`` described."""
        rest = dict(data)
        for key in ("value", "change", "above_random"):
            rest[key] = None if rest[key] is None else Interval(**rest[key])
        rest["test"] = None if rest["test"] is None else McNemar(**rest["test"])
        rest["random"] = tuple(rest["random"])
        return Line(**rest)


def line_of(trial: Trial, measure: Measure, one: Judged, plain: Judged) -> Line | None:
    """A measure of an arm, or ``None`` where it says nothing about any sample.

    Args:
        trial: what was asked.
        measure: what was counted.
        one: the arm's answers.
        plain: the unsteered ones; the same object for the unsteered arm itself.
    """
    groups = groups_of(trial)
    now, random = columns_of(measure, one, len(groups))
    was, _ = columns_of(measure, plain, len(groups))
    is_share = _is_share(measure, was, now, *random)
    value = mean(now, groups, is_share=is_share)
    if value is None:
        return None
    other = one is not plain
    return Line(
        arm=one.arm.name,
        trial=trial.name,
        measure=measure.name,
        label=measure.label,
        role=measure.role,
        higher_is_better=measure.higher_is_better,
        n=sum(score is not None for score in now),
        value=value,
        change=_difference(was, now, groups, is_share) if other else None,
        above_random=_above(now, random, groups, is_share),
        test=_test(was, now, groups) if other and is_share else None,
        random=tuple(
            _plain_mean(column) for column in random if any(v is not None for v in column)
        ),
    )


def groups_of(trial: Trial) -> list[Hashable]:
    """For each sample what it shares with others that depend on it: its pictures."""
    return [sample.images or sample.id for sample in trial.samples]


def _is_share(measure: Measure, *columns: Scored) -> bool:
    """Whether every score is 0 or 1, by its nature or as it happens."""
    return measure.is_share or (
        measure.is_soft_share
        and all(value in (None, 0, 1) for column in columns for value in column)
    )


def _difference(
    was: Scored, now: Scored, groups: Sequence[Hashable], is_share: bool
) -> Interval | None:
    """Now minus before, paired."""
    return worsening(was, now, groups, is_share=is_share, higher_is_better=False)


def _above(
    now: Scored, random: Sequence[Scored], groups: Sequence[Hashable], is_share: bool
) -> Interval | None:
    """Minus the mean over random directions, for the samples that all of them say something of."""
    rows = list(zip(now, *random, strict=True))
    whole = [None not in row for row in rows]
    if not random or not any(whole):
        return None
    kept = [value if keep else None for value, keep in zip(now, whole, strict=True)]
    if is_share:
        # A bootstrap claims certainty where every pair differs alike. The mean of intervals is an
        # interval of the mean, and too wide rather than too narrow: the directions share samples.
        each = [_difference(column, kept, groups, is_share=True) for column in random]
        ends = [(x.estimate, x.low, x.high) for x in each if x is not None]
        return Interval(*(sum(column) / len(ends) for column in zip(*ends, strict=True)))
    others = [
        sum(v for v in row[1:] if v is not None) / len(random) if keep else None
        for row, keep in zip(rows, whole, strict=True)
    ]
    return _difference(others, kept, groups, is_share=False)


def _test(was: Scored, now: Scored, groups: Sequence[Hashable]) -> McNemar | None:
    """McNemar's test; where samples share pictures, each picture votes once, by its net change."""
    pairs = [
        (a == 1, b == 1, group)
        for a, b, group in zip(was, now, groups, strict=True)
        if a is not None and b is not None
    ]
    if not pairs:
        return None
    plain = mcnemar([a for a, _, _ in pairs], [b for _, b, _ in pairs])
    net: dict[Hashable, int] = {}
    for a, b, group in pairs:
        net[group] = net.get(group, 0) + int(b) - int(a)
    votes = list(net.values())
    voted = mcnemar([vote < 0 for vote in votes], [vote > 0 for vote in votes])
    return McNemar(plain.lost, plain.gained, voted.p)


def _plain_mean(column: Scored) -> float:
    values = [value for value in column if value is not None]
    return sum(values) / len(values)
