"""The document of a diff arranged as its page shows it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.changes import Compared, compare_words
from shiftlens.reporting.diff_labels import (
    EFFECTS,
    SIGNS,
    concept_name,
    effect_label,
    is_looked_at,
    kind_label,
    most_moved_first,
    reasons,
)
from shiftlens.reporting.flow_picture import FlowView, flow_view
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.intervals import Bar, difference_bars, figure_bars
from shiftlens.reporting.numbers import bounds, decimal, is_number
from shiftlens.reporting.views import SHOWN, ConceptView, concept_view, longest_shift

_PICTURES, _FOLDED = 5, 3  # pictures a side of a concept that stands open, or is folded away
_STEPS = 6  # about so many ticks on the axis of effects


@dataclass(frozen=True)
class Lane:
    """One effect of one concept; places in percent of an axis that all lanes share."""

    label: str
    verdict: str
    sign: str
    estimate: str
    interval: str
    dot: float | None
    start: float | None
    length: float | None
    margin: float | None


@dataclass(frozen=True)
class Axis:
    """The axis of effects: its ends, its ticks in percent, and where zero is."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: Any) -> float | None:
        """Percent of the axis, or ``None`` for a number that is not known."""
        if not is_number(value):
            return None
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True)
class JudgedView:
    """One concept with its verdicts; ``concept`` is the document's own entry.

    ``reasons`` say why a verdict is open, once where both are open for the same reason.
    """

    concept: Mapping[str, Any]
    name: str
    lanes: tuple[Lane, ...]
    reasons: tuple[str, ...]
    view: ConceptView
    kind: str
    effect: str
    shares: tuple[Bar, ...]
    regained: tuple[Bar, ...]


@dataclass(frozen=True)
class BornView:
    """A concept that only the tuned model has."""

    concept: Mapping[str, Any]
    pictures: tuple[Tile, ...]


@dataclass(frozen=True)
class Mark:
    """One token of the base's answer, or one state where tokens cannot be told: how far apart."""

    text: str
    height: float
    said: str


@dataclass(frozen=True)
class AnswerPair:
    """Both answers to one sample with their changed words, and the divergence along the first."""

    picture: Tile | None
    prompt: str
    compared: Compared
    marks: tuple[Mark, ...]
    by_word: bool


@dataclass(frozen=True)
class Ranked:
    """One entry of the ranking; ``length`` against the first one."""

    candidate: Mapping[str, Any]
    length: float
    chosen: bool


def axis_of(concepts: Sequence[Mapping[str, Any]]) -> Axis:
    """Round ends that hold zero, every interval and every margin."""
    values = [
        float(concept[name][key])
        for concept in concepts
        for name in EFFECTS
        for key in ("estimate", "low", "high", "margin")
        if is_number(concept[name].get(key))
    ]
    low, high = min([0.0, *values]), max([0.1, *values])
    step = _round_step((high - low) / _STEPS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    whole = Axis(first * step, last * step, ())
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    ticks = [(float(whole.place(i * step) or 0.0), decimal(i * step, digits))
             for i in range(first, last + 1)]  # fmt: skip
    return Axis(whole.low, whole.high, tuple(ticks))


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * one for one in (1, 2, 5, 10) if size * one >= rough * (1 - 1e-9))


def judged_views(
    document: Mapping[str, Any], pictures: Pictures
) -> tuple[tuple[JudgedView, ...], tuple[JudgedView, ...]]:
    """Concepts that stand open, and those that are folded away; the most moved first."""
    concepts = most_moved_first(document["concepts"])
    axis, longest = axis_of(concepts), longest_shift(concepts)
    views = [
        _judged(one, axis, longest, pictures, _PICTURES if place < SHOWN else _FOLDED)
        for place, one in enumerate(concepts)
    ]
    return tuple(views[:SHOWN]), tuple(views[SHOWN:])


def _judged(
    concept: Mapping[str, Any], axis: Axis, longest: float, pictures: Pictures, n: int
) -> JudgedView:
    visible = concept["visible"]
    return JudgedView(
        concept=concept,
        name=concept_name(concept, 3),
        lanes=tuple(_lane(label, concept[name], axis) for name, label in EFFECTS.items()),
        reasons=reasons(concept),
        view=concept_view(_shown(concept, n), longest, pictures),
        kind=kind_label(concept["kind"]),
        effect=effect_label(visible),
        shares=tuple(figure_bars(_known(visible, _SHARES))),
        regained=tuple(difference_bars(_known(visible, _REGAINED))),
    )


_SHARES = {
    "inside": "changed, its samples",
    "outside": "changed, all others",
    "whole": "undone to the word",
}
_REGAINED = {"restored": "its shift subtracted", "random": "random directions"}


def _known(visible: Mapping[str, Any], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"label": label, "role": "effect", **visible[name]}
        for name, label in labels.items()
        if visible.get(name)
    ]


def _lane(label: str, verdict: Mapping[str, Any], axis: Axis) -> Lane:
    start, end = axis.place(verdict["low"]), axis.place(verdict["high"])
    said = verdict["verdict"]
    return Lane(
        label=label,
        verdict=said,
        sign=SIGNS.get(said, ""),
        estimate=decimal(verdict["estimate"]),
        interval=bounds(verdict),
        dot=axis.place(verdict["estimate"]),
        start=start if end is not None else None,
        length=round(end - start, 2) if start is not None and end is not None else None,
        margin=axis.place(verdict["margin"]),
    )


def _shown(concept: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The concept with its first pictures; for those kept out of the document stands no box."""
    kept = {name: _with_path(concept[name])[:n] for name in ("images_base", "images_tuned")}
    return {**concept, **kept}


def _with_path(images: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in images if one.get("path")]


def born_views(document: Mapping[str, Any], pictures: Pictures) -> tuple[BornView, ...]:
    """Concepts that only the tuned model has, with their pictures."""
    return tuple(
        BornView(one, tuple(pictures.tile(two) for two in _with_path(one["images"])[:_PICTURES]))
        for one in document.get("born") or ()
    )


def diff_flow(document: Mapping[str, Any]) -> FlowView | None:
    """Where samples of the estimation part flow; kinds stand where concepts surely moved."""
    concepts = document["concepts"]
    kinds = {one["index"]: one["kind"] for one in concepts if one["kind"].get("kind")}
    told = [kinds.get(index) for index in range(len(concepts))]
    return flow_view(document.get("flow"), concepts, (told, ()))


def ranked_views(document: Mapping[str, Any]) -> tuple[Ranked, ...]:
    """The ranking with bars against its first entry."""
    entries = document["ranking"]
    most = max([one["weight"] for one in entries if is_number(one["weight"])], default=0.0)
    return tuple(
        Ranked(
            one,
            one["weight"] / most if most > 0 and is_number(one["weight"]) else 0.0,
            is_looked_at(one, document["site"]),
        )
        for one in entries
    )


def furthest_apart(document: Mapping[str, Any]) -> float:
    """The largest divergence among the examples: what a full mark stands for."""
    values = [value for one in document["answers"]["examples"] for value in one["divergence"]]
    return max([value for value in values if is_number(value)], default=0.0)


def answer_views(document: Mapping[str, Any], pictures: Pictures) -> tuple[AnswerPair, ...]:
    """Every example, both answers against each other."""
    answers, most = document["answers"], furthest_apart(document)
    whole = (answers.get("cut_off") or {}).get("base") == 0
    found: list[AnswerPair] = []
    for one in answers["examples"]:
        picture = None
        if one.get("image"):
            picture = pictures.tile({"id": one["id"], "path": one["image"]})
        marks, by_word = _marks(one, most, whole)
        compared = compare_words(one["base"], one["tuned"])
        found.append(AnswerPair(picture, one["prompt"], compared, marks, by_word))
    return tuple(found)


def _marks(one: Mapping[str, Any], most: float, whole: bool) -> tuple[tuple[Mark, ...], bool]:
    """Divergences with the tokens that they emit, where the document tells or implies these.

    Where no answer was cut off, there is one state more than tokens, and no token is shorter than a
    word: as many states as words and an end means that each word is one token.
    """
    values = one["divergence"]
    texts: list[str] = [str(text) for text in one.get("tokens") or ()]
    words = one["base"].split()
    if not texts and whole and len(words) + 1 == len(values):
        texts = words
    texts = [*texts, "end"] if texts and len(texts) + 1 == len(values) else texts
    named = bool(texts) and len(texts) == len(values)
    shown = texts if named else [""] * len(values)
    marks = [
        Mark(
            text,
            round(value / most, 3) if most > 0 and is_number(value) else 0.0,
            f"{text or f'state {place}'}: {decimal(value)} nats",
        )
        for place, (text, value) in enumerate(zip(shown, values, strict=True), start=1)
    ]
    return tuple(marks), named
