"""The first sentences of the page, written from the numbers and from nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import bounds, is_number, percent, signed

_PREFIX = "concept_minus_"
_CONTROLS = {
    "global": "one global shift for all concepts",
    "shuffled": "shifts of shuffled samples",
    "affine": "one affine map of all states",
    "permuted": "other concepts' shifts",
    "random": "random directions",
}


@dataclass(frozen=True)
class Finding:
    """One question of the header, answered: a verdict in a few words and a sentence a TOI."""

    heading: str
    verdict: str
    lines: tuple[str, ...]
    tone: str  # good, mixed or plain


def findings(data: Mapping[str, Any]) -> list[Finding]:
    """What the page has to say, at most three of them."""
    tois, steering = data["toi"], data["steering"]
    found: list[Finding] = []
    if tois:
        found += [_what_changed(tois), _concept_specific(tois)]
    if steering:
        found.append(_steered(steering))
    return found


def differences(recovery: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The own shift against each control at strength 1, in a fixed order."""
    names = [key.removeprefix(_PREFIX) for key in recovery if key.startswith(_PREFIX)]
    known = [name for name in _CONTROLS if name in names]
    ordered = known + sorted(set(names) - set(known))
    return [
        {"name": name, "label": f"concept − {name}", **recovery[_PREFIX + name]} for name in ordered
    ]


def control(name: str) -> str:
    """A control in words."""
    return _CONTROLS.get(name, name)


def goals(steering: Mapping[str, Any]) -> tuple[int, int]:
    """How many goals of one steering were reached, of how many."""
    judged = [f["holds"] for f in steering["figures"] if isinstance(f.get("holds"), bool)]
    return sum(judged), len(judged)


def furthest(changes: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The concept that moved most: by the part of its shift that its samples have in common.

    Length alone would name small concepts, whose mean is mostly noise.
    """

    def common(change: Mapping[str, Any]) -> float:
        length, alike = change["magnitude"], change["consistency"]
        return length * max(alike, 0.0) if is_number(length) and is_number(alike) else -1.0

    return max(changes, key=common, default=None)


def _prefix(tois: Mapping[str, Any], name: str) -> str:
    return f"{name}: " if len(tois) > 1 else ""


def _what_changed(tois: Mapping[str, Any]) -> Finding:
    lines: list[str] = []
    for name, toi in tois.items():
        change = furthest(toi["changes"])
        if change is not None:
            lines.append(_prefix(tois, name) + _moved(change))
    return Finding("What changed most?", _headline(tois), tuple(lines), "plain")


def _headline(tois: Mapping[str, Any]) -> str:
    changes = [change for toi in tois.values() for change in toi["changes"]]
    renamed = sum(bool(change["came"]) for change in changes)
    return f"{renamed} of {len(changes)} concepts say new words"


def _moved(change: Mapping[str, Any]) -> str:
    who = f"concept {change['index']} ({percent(change['share'])} of the samples)"
    before, after = _quoted(change["contrastive_base"]), _quoted(change["contrastive_tuned"])
    came = _quoted(change["came"])
    sentence = f"{who} moved furthest: from {before} to {after}"
    return f"{sentence}; new are {came}." if came != "no words" else f"{sentence}; no word is new."


def _quoted(words: Sequence[str], n: int = 3) -> str:
    return ", ".join(f"“{word}”" for word in words[:n]) or "no words"


def _concept_specific(tois: Mapping[str, Any]) -> Finding:
    lines: list[str] = []
    verdicts: list[str] = []
    for name, toi in tois.items():
        verdict, line = _above(differences(toi["recovery"]))
        verdicts.append(verdict)
        lines.append(_prefix(tois, name) + line)
    heading = "Does each concept move in its own way?"
    if all(verdict == "above" for verdict in verdicts):
        return Finding(heading, "Yes: above every control", tuple(lines), "good")
    if all(verdict == "none" for verdict in verdicts):
        return Finding(heading, "Not shown", tuple(lines), "mixed")
    return Finding(heading, "In part: not above every control", tuple(lines), "mixed")


def _above(found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Whether the own shift beats the controls, and the sentence that says so."""

    def said(one: Mapping[str, Any]) -> str:
        return f"{control(one['name'])} ({signed(one['estimate'])} {bounds(one)})".replace(" )", ")")

    above = [one for one in found if is_number(one.get("low")) and one["low"] > 0]
    rest = [one for one in found if one not in above]
    if not found:
        return "none", "recovery was not compared with controls."
    start = "a concept's own shift comes"
    if not rest:
        return "above", f"{start} closer to its tuned states than {'; '.join(map(said, above))}."
    if not above:
        return "none", f"{start} NOT measurably closer than {'; '.join(map(said, rest))}."
    return "part", (
        f"{start} closer to its tuned states than {'; '.join(map(said, above))}, "
        f"but NOT measurably closer than {'; '.join(map(said, rest))}."
    )


def _steered(steering: Mapping[str, Any]) -> Finding:
    whole: list[str] = []
    short: list[str] = []
    reached = asked = 0
    for one in steering.values():
        held, judged = goals(one)
        reached, asked = reached + held, asked + judged
        if judged:
            name = f"“{one['title']}” ({held} of {judged})"
            (whole if held == judged else short).append(name)
    if not asked:
        return Finding("Can it be steered?", "No goals were set", (), "plain")
    n = len(whole) + len(short)
    verdict = f"{len(whole)} of {n} steerings reached all their goals"
    lines = [f"{reached} of {asked} goals are reached."]
    if short:
        lines.append(f"Short of a goal: {', '.join(short)}.")
    return Finding(
        "Can the base model be steered?", verdict, tuple(lines), "good" if not short else "mixed"
    )
