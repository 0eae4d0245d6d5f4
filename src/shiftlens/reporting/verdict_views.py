"""Verdicts of a run's concepts: what stands at each concept, and the sentence about all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.diff_labels import EFFECTS, SIGNS, margin_in_words, reasons
from shiftlens.reporting.numbers import bounds, count, decimal, is_number, percent


@dataclass(frozen=True)
class Effect:
    """One effect of one concept."""

    label: str
    verdict: str
    sign: str
    estimate: str
    interval: str


@dataclass(frozen=True)
class Judgement:
    """Both effects of one concept, why they are open, and what refits say of it."""

    verdict: str
    effects: tuple[Effect, ...]
    reasons: tuple[str, ...]
    basis: str


def judgements(verdicts: Mapping[str, Any] | None) -> dict[int, Judgement]:
    """What was judged of each concept, by its index; empty where nothing was."""
    concepts = (verdicts or {}).get("concepts") or ()
    return {index: _judgement(one) for index, one in enumerate(concepts)}


def _judgement(one: Mapping[str, Any]) -> Judgement:
    basis = f"{count(one['moved'].get('pictures'))} judging pictures"
    if is_number(one.get("stability")):
        basis += f", found again in {percent(one['stability'])} of refits"
    effects = tuple(_effect(label, one[name]) for name, label in EFFECTS.items())
    return Judgement(one["moved"]["verdict"], effects, reasons(one), basis)


def _effect(label: str, one: Mapping[str, Any]) -> Effect:
    said = one["verdict"]
    return Effect(label, said, SIGNS.get(said, ""), decimal(one["estimate"]), bounds(one))


def judged_sentence(verdicts: Mapping[str, Any] | None) -> str:
    """How many concepts have which verdict, and what counts as nothing; empty where unknown."""
    if not verdicts:
        return ""
    if "concepts" not in verdicts:
        return f"Nothing was judged: {verdicts.get('reason', 'no reason is given')}."
    moved, margins = verdicts["summary"]["moved"], verdicts["margins"]
    counts = ", ".join(f"{moved[name]} {name}" for name in ("changed", "stable", "undecided"))
    if not is_number(margins.get("moved")):
        return f"{counts}: no margin says what counts as nothing, so nothing can be decided."
    return f"{counts}; counts as nothing: {margin_in_words(margins)}."
