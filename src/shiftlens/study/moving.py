"""Which outcome became which under steering, counted over every sample that was judged."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from shiftlens.data.sample import Sample
from shiftlens.study.asking import UNSTEERED, Judged

Outcome = Callable[[Sample, str], str]
"""What an answer to a sample comes to, in a word or two."""

ALL = "(no type)"
"""The one kind of samples where they are not told apart."""


def moves(
    judged: Judged, outcome: Outcome, kind: Callable[[Sample], str] = lambda _: ALL
) -> dict[str, Any]:
    """For each arm, kind of sample and outcome before: how often each outcome came after.

    ``rates`` are the same as shares of a row, with intervals.

    Args:
        judged: the answers of all arms.
        outcome: names what an answer comes to; a handful of names, not the answers themselves.
        kind: samples of different kinds have a matrix each.
    """
    before = _outcomes(judged, outcome, UNSTEERED)
    kinds = [kind(sample) for sample in judged.samples]
    arms = [arm for arm in judged.arms if arm != UNSTEERED]
    return {
        arm: _counted(judged.samples, kinds, before, _outcomes(judged, outcome, arm))
        for arm in arms
    }


def changed(kinds: Sequence[str], before: Sequence[str], after: Sequence[str]) -> dict[str, int]:
    """For each kind of sample how many answers are others than before."""
    found = dict.fromkeys(kinds, 0)
    for kind, was, now in zip(kinds, before, after, strict=True):
        found[kind] += was != now
    return found


def _outcomes(judged: Judged, outcome: Outcome, arm: str) -> list[str]:
    return [
        outcome(sample, text)
        for sample, text in zip(judged.samples, judged.texts(arm), strict=True)
    ]


def _counted(
    samples: Sequence[Sample], kinds: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> dict[str, dict[str, Any]]:
    from shiftlens.steering.measures.rates import rates_by_kind

    matrices: dict[str, dict[str, dict[str, int]]] = {}
    counts = Counter(zip(kinds, before, after, strict=True))
    for (kind, was, now), count in counts.most_common():
        matrices.setdefault(kind, {}).setdefault(was, {})[now] = count
    return {
        "transitions": matrices,
        "changed": changed(kinds, before, after),
        "rates": rates_by_kind(kinds, before, after, samples),
    }
