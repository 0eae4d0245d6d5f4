"""The check: every rule of a policy measured in a run, judged, and summed up in one exit code."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import clean
from shiftlens.study.check.policy import Policy
from shiftlens.study.check.rows import Run
from shiftlens.study.check.rules import FAIL, FEWEST, PASS, RULES, UNDECIDED, Bounds, Rule

SCHEMA = 1

EXIT_CODES: Mapping[str, int] = {PASS: 0, FAIL: 1, UNDECIDED: 4}
"""Of the command, by the verdict on the whole policy."""


@dataclass(frozen=True)
class Judged:
    """One rule, judged.

    Attributes:
        rule: as the policy has it.
        kind: of the rule, as the policy calls it.
        estimate, low, high: with the interval at the policy's level; NaN or infinite where unknown.
        bounds: what is allowed.
        verdict: ``pass``, ``fail`` or ``undecided``.
        n, pictures: samples and pictures that the rule looked at.
        needs: about how many pictures would decide; ``None`` where it is decided, or where the
            estimate is so close to the margin that no number can be named.
        how: what was measured.
        note: what the reader should know, or why it is undecided.
    """

    rule: Rule
    kind: str
    estimate: float
    low: float
    high: float
    bounds: Bounds
    verdict: str
    n: int
    pictures: int
    needs: int | None
    how: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """JSON; what is not known is ``None``."""
        return clean(
            {
                "name": self.rule.name,
                "kind": self.kind,
                "estimate": self.estimate,
                "low": self.low,
                "high": self.high,
                "margin": self.rule.margin,
                "allowed": [self.bounds.low, self.bounds.high],
                "verdict": self.verdict,
                "needs": self.needs,
                "n": self.n,
                "pictures": self.pictures,
                "how": self.how,
                "note": self.note,
            }
        )


@dataclass(frozen=True)
class Checked:
    """A whole policy, judged.

    Attributes:
        policy: the rules.
        run: what they were held against.
        rules: one entry a rule, in order.
    """

    policy: Policy
    run: Run
    rules: tuple[Judged, ...]

    @property
    def verdict(self) -> str:
        """``fail`` if any rule fails, otherwise ``undecided`` if any is, otherwise ``pass``."""
        found = {one.verdict for one in self.rules}
        return next(one for one in (FAIL, UNDECIDED, PASS) if one in found)

    @property
    def exit_code(self) -> int:
        """0, 1 or 4."""
        return EXIT_CODES[self.verdict]

    def of(self, verdict: str) -> list[Judged]:
        """Rules with a verdict, in order."""
        return [one for one in self.rules if one.verdict == verdict]

    def to_dict(self) -> dict[str, Any]:
        """JSON, as docs/formats/policy.md describes it."""
        head, precision = self.policy.head, self.policy.precision
        return {
            "schema": SCHEMA,
            "kind": "check",
            "exit_code": self.exit_code,
            "verdict": self.verdict,
            "policy": {
                "file": self.policy.name,
                "title": head.title,
                "simultaneous": head.simultaneous,
                "level": precision.level,
                "seed": precision.seed,
                "draws": precision.draws,
            },
            "models": clean(self.run.models),
            "data": {
                "fingerprint": self.run.data,
                "samples": len(self.run.rows),
                "pictures": self.run.pictures,
            },
            "finished": self.run.document is not None,
            "rules": [one.to_dict() for one in self.rules],
        }


def check(run: Run, policy: Policy) -> Checked:
    """Hold a run against a policy.

    Args:
        run: what a diff left, from ``read_run``.
        policy: the rules, from ``load_policy``.

    Raises:
        DataError: a rule asks for samples, labels or concepts that the run does not have.
    """
    return Checked(policy, run, tuple(_judge(rule, run, policy) for rule in policy.rules))


def _judge(rule: Rule, run: Run, policy: Policy) -> Judged:
    found = rule.measure(run, policy.precision)
    interval, verdict = found.at(1.0), found.verdict()
    needs = found.needs() if verdict == UNDECIDED else None
    size = found.pictures if found.size is None else found.size
    notes = [found.note] if found.note else []
    if verdict == UNDECIDED and found.pictures < run.pictures:
        notes.append(f"it looks at {found.pictures} of {run.pictures} pictures")
    if size < FEWEST:
        notes.append(f"{size} pictures are too few: at least {FEWEST}")
    elif verdict == UNDECIDED and needs is None and math.isfinite(interval.high - interval.low):
        notes.append("the estimate lies on the margin")
    return Judged(
        rule=rule,
        kind=_kind(rule),
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        bounds=found.bounds,
        verdict=verdict,
        n=found.n,
        pictures=found.pictures,
        needs=needs,
        how=found.how,
        note="; ".join(notes),
    )


def _kind(rule: Rule) -> str:
    return next(name for name in RULES.names() if isinstance(rule, RULES.get(name)))
