"""The policy file: a TOML list of rules.

A key that is unknown, missing or of the wrong type is an error that names the place and the keys
that exist, as in an experiment file.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError
from shiftlens.study.check.kinds import answers, concept, divergence, length, words
from shiftlens.study.check.rules import RULES, Precision, Rule
from shiftlens.study.experiment import build, read_toml

KINDS = (answers, concept, divergence, length, words)
"""Modules whose import registers the kinds of rules."""

_LEVEL = 0.95
_BEYOND = 10  # resamples that lie beyond either end of an interval, at least


@dataclass(frozen=True)
class Head:
    """What stands above the rules.

    Attributes:
        title: for people.
        simultaneous: intervals of all rules hold at once with 95 % (Bonferroni); otherwise each.
        seed: of resamples.
        draws: how many resamples.
    """

    title: str = ""
    simultaneous: bool = False
    seed: int = 0
    draws: int = 2000

    def __post_init__(self) -> None:
        if self.draws < 200:
            raise DataError(f"draws = {self.draws} is too few", allowed="at least 200")
        if self.seed < 0:
            raise DataError(f"seed = {self.seed} is below 0", allowed="a whole number from 0 up")


@dataclass(frozen=True)
class Policy:
    """Rules that a fine-tune must keep.

    Attributes:
        head: what holds for all of them.
        rules: in the order of the file, their names all different.
        name: of the file.
    """

    head: Head
    rules: tuple[Rule, ...]
    name: str = "policy"

    @property
    def precision(self) -> Precision:
        """Level of each rule's interval, and the resamples behind it."""
        share = len(self.rules) if self.head.simultaneous else 1
        missed = (1 - _LEVEL) / share
        # A percentile far out needs more resamples to have some beyond it.
        draws = max(self.head.draws, math.ceil(_BEYOND * 2 / missed))
        return Precision(1 - missed, self.head.seed, draws)


def load_policy(path: str | Path) -> Policy:
    """Read a policy file.

    Raises:
        DataError: the file is missing, is not TOML, has no rules, or a key is unknown, missing,
            mistyped or impossible.
    """
    return _policy(read_toml(path, "policy"), Path(path).name)


def _policy(table: dict[str, Any], name: str) -> Policy:
    found = table.pop("rule", [])
    if not isinstance(found, list) or not found:
        raise DataError(
            f"{name} has no rules",
            allowed="one or more tables [[rule]] with kind, name and margin",
            remedy="start from examples/policy.toml",
        )
    head = build(Head, table, name)
    rules = [_rule(one, f"{name} [[rule]] {number}") for number, one in enumerate(found, start=1)]
    names = [rule.name for rule in rules]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise DataError(f"{name} gives the name {twice[0]!r} to two rules")
    return Policy(head, tuple(rules), name)


def _rule(table: Any, where: str) -> Rule:
    if not isinstance(table, dict):
        raise DataError(f"{where} must be a table, not {table!r}")
    rest = dict(table)
    kind = rest.pop("kind", None)
    if kind not in RULES.names():
        raise DataError(
            f"{where} has the kind {kind!r}", allowed=f"kinds: {', '.join(RULES.names())}"
        )
    return build(RULES.get(kind), rest, where)
