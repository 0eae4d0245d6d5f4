"""The first sentences of the page, written from the numbers and from nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.numbers import bounds, is_number, percent, signed

_PREFIX = "concept_minus_"
_SAID = ("global", "shuffled")
_CONTROLS = {
    "global": "one global shift for all concepts",
    "shuffled": "shifts of shuffled samples",
    "affine": "one affine map of all states",
    "permuted": "other concepts’ shifts",
    "random": "random directions",
    "partition": "random groups in place of concepts",
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


def above(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The controls that the own shift surely beats."""
    return [one for one in found if is_number(one.get("low")) and one["low"] > 0]


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


def _line(tois: Mapping[str, Any], name: str, sentence: str) -> str:
    """A sentence, under the name of its token of interest where there are several."""
    return f"{name}: {sentence}" if len(tois) > 1 else sentence[:1].upper() + sentence[1:]


def _what_changed(tois: Mapping[str, Any]) -> Finding:
    lines: list[str] = []
    moves: list[str] = []
    for name, toi in tois.items():
        change = furthest(toi["changes"])
        if change is not None:
            lines.append(_line(tois, name, _moved(change)))
            before, after = change["contrastive_base"], change["contrastive_tuned"]
            # "stove → stove" says nothing: where the first words agree, a word that came speaks.
            told = change["came"] if before[:1] == after[:1] and change["came"] else after
            moves.append(f"{quoted(before, 1)} → {quoted(told, 1)}")
    return Finding("What changed most?", "; ".join(moves) or "Nothing", tuple(lines), "plain")


def _moved(change: Mapping[str, Any]) -> str:
    who = f"concept {change['index']} ({percent(change['share'])} of the samples)"
    before, after = quoted(change["contrastive_base"]), quoted(change["contrastive_tuned"])
    new = f"new are {quoted(change['came'])}" if change["came"] else "no word is new"
    return f"{who} moved furthest: from {before} to {after}; {new}."


def quoted(words: Sequence[str], n: int = 3) -> str:
    """The first words, in quotation marks."""
    return ", ".join(f"“{word}”" for word in words[:n]) or "no words"


def _concept_specific(tois: Mapping[str, Any]) -> Finding:
    lines: list[str] = []
    verdicts: list[str] = []
    for name, toi in tois.items():
        verdict, line = _above(differences(toi["recovery"]))
        verdicts.append(verdict)
        lines.append(_line(tois, name, line))
    heading = "Does each concept move in its own way?"
    if all(verdict == "above" for verdict in verdicts):
        return Finding(heading, "Yes: above every control", tuple(lines), "good")
    if all(verdict == "none" for verdict in verdicts):
        return Finding(heading, "Not shown", tuple(lines), "mixed")
    return Finding(heading, "In part: not above every control", tuple(lines), "mixed")


def _above(found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Whether the own shift beats the controls, and the sentence that says so."""
    better = above(found)
    rest = [one for one in found if one not in better]
    if not found:
        return "none", "recovery was not compared with controls."
    # The published two with their numbers, other beaten controls by name; all stand below.
    told = [_said(one) if one["name"] in _SAID else control(one["name"]) for one in better]
    missed = f"NOT measurably closer than {_listed([_said(one) for one in rest])}"
    start = "a concept’s own shift comes"
    if not better:
        return "none", f"{start} {missed}."
    closer = f"{start} closer to its tuned states than {_listed(told)}"
    return ("part", f"{closer}, but {missed}.") if rest else ("above", f"{closer}.")


def _said(one: Mapping[str, Any]) -> str:
    return f"{control(one['name'])} ({signed(one['estimate'])} {bounds(one)}".rstrip() + ")"


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)


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
