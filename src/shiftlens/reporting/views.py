"""The document arranged as the page shows it: what comes first, what is folded away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.changes import Compared, Run, compare_words
from shiftlens.reporting.curves import NAMES, Chart, chart, rank
from shiftlens.reporting.explained import Explained, explained
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.intervals import Bar, difference_bars, figure_bars
from shiftlens.reporting.numbers import is_number
from shiftlens.reporting.summary import differences, goals

SHOWN = 8
"""Concepts before the fold."""

_WORDS = 7  # contrastive words of a concept before the fold
_PICTURES = 5
_BY = ", by what is added"
_ROLES = (("effect", "Effect"), ("side effect", "Side effects"), ("control", "Controls"))


@dataclass(frozen=True)
class Side:
    """One side of a concept: its pictures, and its words, each with whether it is marked."""

    pictures: tuple[Tile, ...]
    words: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class ConceptView:
    """A base concept beside its tuned partner; ``change`` is the document's own entry."""

    change: Mapping[str, Any]
    base: Side
    tuned: Side
    gone: tuple[str, ...]
    length: float  # of the shift, against the longest one


@dataclass(frozen=True)
class RecoveryView:
    """Charts of recovery, the differences at strength 1, and the numbers behind them."""

    charts: tuple[Chart, ...]
    bars: tuple[Bar, ...]
    strengths: Sequence[float]
    tables: tuple[tuple[str, Mapping[str, Sequence[Any]]], ...]
    judged: Any


@dataclass(frozen=True)
class ToiView:
    """One token of interest."""

    name: str
    anchor: str
    data: Mapping[str, Any]
    shown: tuple[ConceptView, ...]
    folded: tuple[ConceptView, ...]
    recovery: RecoveryView
    own_text: RecoveryView | None
    published: tuple[Chart, ...]
    explained: tuple[Explained, ...]


@dataclass(frozen=True)
class AnswerView:
    """One steered (or unsteered) answer with its changed words."""

    label: str
    runs: tuple[Run, ...]
    verdict: str
    steered: bool


@dataclass(frozen=True)
class ExampleView:
    """One sample before and after."""

    picture: Tile | None
    prompt: str
    answers: tuple[AnswerView, ...]
    gate: str | None


@dataclass(frozen=True)
class SteeringView:
    """One steering."""

    anchor: str
    data: Mapping[str, Any]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    examples: tuple[ExampleView, ...]
    reached: int
    asked: int


def toi_views(data: Mapping[str, Any], pictures: Pictures) -> list[ToiView]:
    """Every token of interest, in the document's order."""
    return [
        _toi(f"toi-{number}", name, toi, pictures)
        for number, (name, toi) in enumerate(data["toi"].items())
    ]


def steering_views(data: Mapping[str, Any], pictures: Pictures) -> list[SteeringView]:
    """Every steering, in the document's order."""
    return [
        _steering(f"steering-{number}", one, pictures)
        for number, one in enumerate(data["steering"].values())
    ]


def _toi(anchor: str, name: str, toi: Mapping[str, Any], pictures: Pictures) -> ToiView:
    changes = sorted(toi["changes"], key=lambda c: -(c["share"] or 0))
    longest = longest_shift(changes)
    concepts = [concept_view(change, longest, pictures) for change in changes]
    published = toi.get("published") or {}
    recovery, own = toi["recovery"], toi.get("recovery_own_text")
    return ToiView(
        name=name,
        anchor=anchor,
        data=toi,
        shown=tuple(concepts[:SHOWN]),
        folded=tuple(concepts[SHOWN:]),
        recovery=_recovery(recovery, published),
        own_text=_recovery(own, own.get("published") or {}) if own else None,
        published=_published(recovery["strength"], published),
        explained=tuple(explained(one, pictures) for one in toi.get("explained", ())),
    )


def longest_shift(changes: Sequence[Mapping[str, Any]]) -> float:
    """The largest magnitude that is known; 0 where none is."""
    return max([one["magnitude"] for one in changes if is_number(one["magnitude"])], default=0.0)


def concept_view(change: Mapping[str, Any], longest: float, pictures: Pictures) -> ConceptView:
    """A concept beside its partner; ``longest`` is the length that a full gauge stands for."""
    before, after = change["contrastive_base"][:_WORDS], change["contrastive_tuned"][:_WORDS]
    came, went = set(change["came"]), set(change["went"])
    length = change["magnitude"]
    return ConceptView(
        change=change,
        base=Side(
            tuple(pictures.tile(one) for one in change["images_base"][:_PICTURES]),
            tuple((word, word in went) for word in before),
        ),
        tuned=Side(
            tuple(pictures.tile(one) for one in change["images_tuned"][:_PICTURES]),
            tuple((word, word in came) for word in after),
        ),
        gone=tuple(word for word in before if word in went),
        length=length / longest if longest > 0 and is_number(length) else 0.0,
    )


def _recovery(recovery: Mapping[str, Any], published: Mapping[str, Any]) -> RecoveryView:
    strengths = recovery["strength"]
    cosine = recovery["centred_cosine"]
    overlap = recovery.get("t_overlap") or published.get("t_overlap") or {}
    charts = (
        chart(
            "Closeness to the tuned states, by what is added", "centred cosine", strengths, cosine
        ),
        chart(
            "Words shared with the tuned concepts, by what is added",
            "T-Overlap",
            strengths,
            overlap,
        ),
    )
    return RecoveryView(
        charts=tuple(one for one in charts if one is not None),
        bars=tuple(difference_bars(differences(recovery))),
        strengths=strengths,
        tables=(("Centred cosine", _named(cosine)), ("T-Overlap", _named(overlap))),
        judged=recovery.get("concepts_judged"),
    )


def _named(curves: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Curves in the order and under the names of the charts."""
    return {NAMES.get(name, name): curves[name] for name in sorted(curves, key=rank)}


def _published(strengths: Sequence[float], published: Mapping[str, Any]) -> tuple[Chart, ...]:
    charts = (
        chart("Cosine of the pairs", "cosine", strengths, published.get("cosine") or {}),
        chart(
            "Centred cosine of the pairs",
            "centred cosine",
            strengths,
            published.get("centred_cosine") or {},
        ),
    )
    return tuple(one for one in charts if one is not None)


def _steering(anchor: str, one: Mapping[str, Any], pictures: Pictures) -> SteeringView:
    bars = figure_bars(one["figures"])
    known = {role for role, _ in _ROLES}
    groups = [(title, tuple(b for b in bars if b.role == role)) for role, title in _ROLES]
    groups.append(("Other figures", tuple(b for b in bars if b.role not in known)))
    reached, asked = goals(one)
    return SteeringView(
        anchor=anchor,
        data=one,
        groups=tuple((title, group) for title, group in groups if group),
        examples=tuple(_example(example, pictures) for example in one["examples"]),
        reached=reached,
        asked=asked,
    )


def _example(example: Mapping[str, Any], pictures: Pictures) -> ExampleView:
    picture = None
    if example.get("image"):
        picture = pictures.tile({"id": example["id"], "path": example["image"]})
    return ExampleView(
        picture=picture,
        prompt=example["prompt"],
        answers=_answers(example["answers"]),
        gate=example.get("gate"),
    )


def _answers(answers: Sequence[Mapping[str, Any]]) -> tuple[AnswerView, ...]:
    """Every answer against the first; the first is marked against the one after it."""
    if not answers:
        return ()
    first, rest = answers[0], answers[1:]
    against = [compare_words(first["text"], other["text"]) for other in rest]
    plain = (Run(first["text"], False),)
    shown = [AnswerView(first["label"], against[0].before if against else plain, "", False)]
    shown += [_steered(other, one) for other, one in zip(rest, against, strict=True)]
    return tuple(shown)


def _steered(answer: Mapping[str, Any], compared: Compared) -> AnswerView:
    return AnswerView(answer["label"], compared.after, compared.verdict, True)
