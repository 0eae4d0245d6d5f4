"""The first sentences of a diff's page, written from its numbers and from nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from shiftlens.reporting.diff_labels import (
    NO_MARGIN,
    UNTRIED,
    concept_words,
    effect_label,
    has_margin,
    looked_at,
    most_moved_first,
    who_says,
)
from shiftlens.reporting.numbers import bounds, decimal, is_number, percent, percent_bounds, signed
from shiftlens.reporting.summary import Finding

WHAT_TO_DO = (
    "Say what counts as nothing: train adapters that teach nothing (shiftlens placebo) and name "
    "their directory (--placebo), or name a number of spreads (--margin)."
)


def diff_findings(document: Mapping[str, Any]) -> list[Finding]:
    """What changed, which concepts moved, and whether that shows and can be undone."""
    return [_answers(document), _concepts(document), _visible(document)]


def _answers(document: Mapping[str, Any]) -> Finding:
    answers = document["answers"]
    changed = answers["changed"]
    lines = [f"95\N{NO-BREAK SPACE}% interval {percent_bounds(changed)}.".replace(" .", ".")]
    alike, apart = answers.get("likeness"), answers.get("divergence")
    if alike:
        lines[0] += (
            f" Word by word an answer of the tuned model is {decimal(alike['estimate'])} like the "
            "base’s, where 1 is the same."
        )
    if apart:
        line = (
            f"On the base’s own text the two part by {decimal(apart['estimate'])} nats a token "
            f"{bounds(apart)}"
        ).rstrip()
        first = next(iter(document["ranking"]), None)
        lines.append(f"{line}; most of it at {_candidate(first)}." if first else f"{line}.")
    verdict = f"{percent(changed['estimate'])} of {answers['n']} answers"
    return Finding("Which answers changed?", verdict, tuple(lines), "plain")


def _candidate(one: Mapping[str, Any]) -> str:
    return f"“{one['name']}”" if one.get("is_word") else f"the {one['name']}"


def _concepts(document: Mapping[str, Any]) -> Finding:
    heading, concepts = "Which concepts moved?", most_moved_first(document["concepts"])
    furthest = _furthest(concepts, document)
    if not has_margin(document):
        verdict = f"Not judged: {NO_MARGIN}"
        return Finding(heading, verdict, (*furthest, WHAT_TO_DO), "mixed")
    counts, own = document["summary"]["moved"], document["summary"]["own"]
    n, changed, open_ = len(concepts), counts["changed"], counts["undecided"]
    verdict = f"{changed or 'None'} of {n} concepts changed"
    if open_:
        verdict += f", {open_} undecided"
    lines = [*furthest]
    if changed:
        lines.append(
            f"{own['changed'] or 'None'} of {n} moved otherwise than all samples together did"
            + (f"; {own['undecided']} undecided." if own["undecided"] else ".")
        )
    return Finding(heading, verdict, tuple(lines), "mixed" if open_ > n / 2 else "plain")


def _furthest(concepts: Sequence[Mapping[str, Any]], document: Mapping[str, Any]) -> list[str]:
    """The concept that surely moved most, as one sentence, or none."""
    if not concepts or not is_number(concepts[0]["moved"]["estimate"]):
        return []
    first = concepts[0]
    moved = first["moved"]
    who = " and ".join(f"“{word}”" for word in concept_words(first)) or f"concept {first['index']}"
    line = (
        f"Furthest: {who} ({percent(first['share'])} of the samples), by "
        f"{decimal(moved['estimate'])} spreads {bounds(moved)} at {looked_at(document['site'])}"
    ).rstrip()
    if has_margin(document):
        margins = document["margins"]
        line += f", where {decimal(margins['moved'])} counts as nothing ({who_says(margins)})"
    came = " and ".join(f"“{word}”" for word in first["came"][:2])
    return [f"{line}; {came} came." if came else f"{line}."]


def _visible(document: Mapping[str, Any]) -> Finding:
    heading = "Does it show, and can it be undone?"
    concepts = document["concepts"]
    labels = [effect_label(one["visible"]) for one in concepts]
    tried = [one["visible"] for one in concepts if one["visible"]["n_steered"]]
    restored = [one for one in tried if _low(one, "restored_minus_random") > 0]
    more = sum(_low(one["visible"], "difference") > 0 for one in concepts)
    lines = [_regained(restored)] if restored else []
    lines.append(
        f"Answers changed more often inside {more} of {len(concepts)} concepts than outside."
        if more
        else "In no concept did answers change measurably more often than elsewhere."
    )
    untried = len(concepts) - len(tried)
    if untried and concepts:
        lines.append(f"Subtracting the shift was not tried for {untried} of {len(concepts)}.")
    if not tried:
        shown = f"Shows in {more} of {len(concepts)}; " if more else ""
        return Finding(heading, f"{shown}{UNTRIED}".capitalize(), tuple(lines), "plain")
    if not restored:
        seen = any(label not in (UNTRIED, "no visible effect") for label in labels)
        verdict = "It shows, and was not undone" if seen else "No visible effect"
        return Finding(heading, verdict, tuple(lines), "mixed")
    verdict = f"Undone by {_gains(restored)} for {len(restored)} of {len(tried)} concepts tried"
    return Finding(heading, verdict, tuple(lines), "plain")


def _regained(restored: Sequence[Mapping[str, Any]]) -> str:
    whole = [one["whole"]["estimate"] for one in restored if one.get("whole")]
    line = (
        "Subtracting a concept’s shift brings the tuned model’s answers "
        f"{_gains(restored)} closer to the base’s, word by "
        "word, than random directions of equal length do"
    )
    if not whole:
        return f"{line}."
    shares = _range([percent(v) for v in (min(whole), max(whole))])
    return f"{line}; {shares} of them become the base’s to the word."


def _gains(restored: Sequence[Mapping[str, Any]]) -> str:
    """How much likeness came back over random directions, smallest and largest."""
    found = [one["restored_minus_random"]["estimate"] for one in restored]
    return _range([signed(value) for value in (min(found), max(found))])


def _range(ends: Sequence[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _low(visible: Mapping[str, Any], name: str) -> float:
    interval = visible.get(name)
    low = interval.get("low") if interval else None
    return low if is_number(low) else 0.0
