"""What things in a diff are called and in which order they stand, on the page and in the terminal.

Nothing here is computed: a number that the document does not hold is not known.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shiftlens.reporting.numbers import decimal, is_number

UNTRIED = "undoing not tried"
"""Said where answers showed nothing and the concept's shift was never subtracted."""

NO_MARGIN = "no margin says what counts as nothing"

EFFECTS = {"moved": "moved", "own": "own move"}
"""What the two effects of a concept are called."""

SIGNS = {"changed": "◆", "stable": "●", "undecided": "○"}
"""A mark beside each verdict, so that it can be told without its colour."""

_PLACES = {
    "last prompt": "the first token of the answer",
    "first response": "the first token of the answer, once read",
    "end of response": "the end of the answer",
    "mean response": "the mean over the answer",
    "mean image": "the mean over the picture",
}
_CANDIDATES = {"first token": "last prompt", "end of the answer": "end of response"}
_NOTHING_SEEN = "no visible effect"
_LONG = 40


def short_names(document: Mapping[str, Any]) -> tuple[str, str]:
    """Names of both models, without the folders that they lie in, unless only these differ."""
    names = [str(document["models"][side]["name"]) for side in ("base", "tuned")]
    for kept in (1, 2, 3):
        short = [_shortened(name, kept) for name in names]
        if short[0] != short[1]:
            return short[0], short[1]
    return names[0], names[1]


def _shortened(name: str, kept: int) -> str:
    """An id of the hub or of a package as it is; of a path its last parts."""
    parts = [part for part in name.replace("\\", "/").split("/") if part]
    is_path = name.startswith((".", "/", "~")) or len(parts) > 2 or len(name) > _LONG
    return "/".join(parts[-kept:]) if is_path and parts else name


def looked_at(site: Mapping[str, Any]) -> str:
    """Where states were taken, in words."""
    tokens = site["tokens"]
    if tokens.get("words"):
        return " or ".join(f"“{word}”" for word in tokens["words"])
    kind = str(tokens.get("kind", "some tokens"))
    return _PLACES.get(kind, kind)


def is_looked_at(candidate: Mapping[str, Any], site: Mapping[str, Any]) -> bool:
    """Whether an entry of the ranking is the site, or one of its words."""
    tokens, name = site["tokens"], candidate["name"]
    if candidate.get("is_word"):
        return name in [str(word).lower() for word in tokens.get("words") or ()]
    return _CANDIDATES.get(name) == tokens.get("kind")


def concept_words(concept: Mapping[str, Any], n: int = 2) -> list[str]:
    """Words that set a concept apart; its likeliest ones where none does."""
    return list((concept["contrastive_base"] or concept["words_base"])[:n])


def concept_name(concept: Mapping[str, Any], n: int = 2) -> str:
    """A concept by its words, or by its number where it has none."""
    return ", ".join(concept_words(concept, n)) or f"concept {concept['index']}"


def most_moved_first(concepts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By the effect that is sure: the lower end of ``moved``; unknown ones last."""

    def sure(concept: Mapping[str, Any]) -> float:
        low = concept["moved"]["low"]
        return -low if is_number(low) else float("inf")

    return sorted(concepts, key=sure)


def effect_label(visible: Mapping[str, Any]) -> str:
    """The visible effect in a few words.

    "No visible effect" is kept for concepts whose shift was subtracted to no effect; where that was
    not tried, nothing was seen because nothing was looked for.
    """
    effect = str(visible["effect"])
    return UNTRIED if effect == _NOTHING_SEEN and not visible.get("n_steered") else effect


def kind_label(kind: Mapping[str, Any]) -> str:
    """What became of a concept; empty where it did not surely move."""
    return str(kind.get("kind") or "").removeprefix("moved, ")


def _why_undecided(verdict: Mapping[str, Any]) -> str:
    """Why a verdict is open and what would close it; empty where it is closed."""
    if verdict["verdict"] != "undecided":
        return ""
    why, needs = str(verdict.get("why") or ""), verdict.get("needs")
    if why == NO_MARGIN:
        return ""
    if not is_number(needs):
        return why
    there = verdict.get("pictures")
    if is_number(there) and str(there) in why:  # then it says what the number is about
        return f"{why}, at least {needs:.0f} are needed"
    have = f", {there} here" if is_number(there) else ""
    return f"{why}; about {needs:.0f} pictures needed{have}".removeprefix("; ")


def reasons(concept: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the verdicts of a concept are open; a reason that only one has names it.

    A missing margin is a reason for all concepts alike, and is said once for all of them.
    """
    told = {label: _why_undecided(concept[name]) for name, label in EFFECTS.items()}
    different = dict.fromkeys(told.values())
    if len(different) == 1:
        return tuple(why for why in different if why)
    return tuple(f"{label}: {why}" for label, why in told.items() if why)


def who_says(margins: Mapping[str, Any]) -> str:
    """Where the margin comes from."""
    if margins.get("source") == "placebos":
        return f"from {len(margins['placebos'])} placebos"
    return "named by the user" if margins.get("source") == "user" else "none"


def margin_in_words(margins: Mapping[str, Any]) -> str:
    """What counts as nothing, and who says so."""
    both = [decimal(margins.get(name)) for name in EFFECTS]
    value = both[0] if both[0] == both[1] else f"{both[0]} (own move {both[1]})"
    return f"{value} spreads, {who_says(margins)}"


def has_margin(document: Mapping[str, Any]) -> bool:
    """Whether anything says what counts as nothing; without it no verdict is possible."""
    return is_number(document["margins"].get("moved"))
