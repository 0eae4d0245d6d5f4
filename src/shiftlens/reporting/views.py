"""The document arranged as the page shows it: what comes first, what is folded away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shiftlens.reporting.curves import NAMES, Chart, chart, rank
from shiftlens.reporting.diff_labels import SIGNS
from shiftlens.reporting.explained import Explained, explained
from shiftlens.reporting.flow_picture import FlowView, flow_view
from shiftlens.reporting.heat import heat_checks, shade
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.intervals import Bar, difference_bars
from shiftlens.reporting.numbers import is_number
from shiftlens.reporting.scatter import Scatter, scatter
from shiftlens.reporting.summary import differences
from shiftlens.reporting.verdict_views import Judgement, judged_sentence, judgements

SHOWN = 8
"""Concepts before the fold."""

_WORDS = 7  # contrastive words of a concept before the fold
_PICTURES = 5
_BY = ", by what is added"


@dataclass(frozen=True)
class Side:
    """One side of a concept: its pictures, and its words, each with whether it is marked."""

    pictures: tuple[Tile, ...]
    words: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class ConceptView:
    """A base concept beside its tuned partner; ``change`` is the document's own entry.

    ``parts`` are the weights' and the text's in its shift on own text, where these are known.
    """

    change: Mapping[str, Any]
    base: Side
    tuned: Side
    gone: tuple[str, ...]
    length: float  # of the shift, against the longest one
    judgement: Judgement | None = None
    parts: Mapping[str, Any] | None = None


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
    flow: FlowView | None
    scatter: Scatter | None
    judged: str
    verdicts: tuple[str, ...]
    has_heat: bool
    heat_check: tuple[str, ...]


def toi_views(data: Mapping[str, Any], pictures: Pictures) -> list[ToiView]:
    """Every token of interest, in the document's order."""
    return [
        _toi(f"toi-{number}", name, toi, pictures)
        for number, (name, toi) in enumerate(data["toi"].items())
    ]


def _toi(anchor: str, name: str, toi: Mapping[str, Any], pictures: Pictures) -> ToiView:
    concepts = _concepts(toi, pictures)
    published, verdicts = toi.get("published") or {}, toi.get("verdicts") or {}
    recovery, own = toi["recovery"], toi.get("recovery_own_text")
    told = {i: one.verdict for i, one in judgements(verdicts).items()}
    kinds = [one.get("kind") for one in verdicts.get("concepts") or ()]
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
        flow=flow_view(toi.get("flow"), toi["changes"], (kinds, verdicts.get("tuned") or ())),
        scatter=scatter(toi["changes"], told),
        judged=judged_sentence(toi.get("verdicts")),
        verdicts=tuple(one for one in SIGNS if one in told.values()),
        has_heat=any(
            tile.heat
            for view in concepts
            for side in (view.base, view.tuned)
            for tile in side.pictures
        ),
        heat_check=heat_checks(toi.get("heat") or {}),
    )


def _concepts(toi: Mapping[str, Any], pictures: Pictures) -> list[ConceptView]:
    """Largest first, each with what was judged of it."""
    changes = sorted(toi["changes"], key=lambda c: -(c["share"] or 0))
    longest, judged = longest_shift(changes), judgements(toi.get("verdicts"))
    heat: Mapping[str, Any] = toi.get("heat") or {}
    maps: list[list[Mapping[str, Any]]] = [
        list(heat.get(name) or ()) for name in ("maps", "maps_tuned")
    ]
    shares: list[Mapping[str, Any] | None] = list(toi.get("concept_shares") or ())
    found: list[ConceptView] = []
    for change in changes:
        i = change["index"]
        own = [
            side[at] if at < len(side) else None
            for side, at in zip(maps, (i, change["partner"]), strict=True)
        ]
        view = concept_view(change, longest, pictures, own)
        parts = shares[i] if i < len(shares) else None
        found.append(replace(view, judgement=judged.get(i), parts=parts))
    return found


def longest_shift(changes: Sequence[Mapping[str, Any]]) -> float:
    """The largest magnitude that is known; 0 where none is."""
    return max([one["magnitude"] for one in changes if is_number(one["magnitude"])], default=0.0)


def concept_view(
    change: Mapping[str, Any],
    longest: float,
    pictures: Pictures,
    maps: Sequence[Mapping[str, Any] | None] = (None, None),
) -> ConceptView:
    """A concept beside its partner.

    Args:
        change: the document's entry.
        longest: the length that a full gauge stands for.
        pictures: of the page.
        maps: heat maps of the base concept and of its partner, by sample id.
    """
    before, after = change["contrastive_base"][:_WORDS], change["contrastive_tuned"][:_WORDS]
    came, went = set(change["came"]), set(change["went"])
    length = change["magnitude"]
    return ConceptView(
        change=change,
        base=Side(
            tuple(_tile(one, pictures, maps[0]) for one in change["images_base"][:_PICTURES]),
            tuple((word, word in went) for word in before),
        ),
        tuned=Side(
            tuple(_tile(one, pictures, maps[1]) for one in change["images_tuned"][:_PICTURES]),
            tuple((word, word in came) for word in after),
        ),
        gone=tuple(word for word in before if word in went),
        length=length / longest if longest > 0 and is_number(length) else 0.0,
    )


def _tile(picture: Mapping[str, Any], pictures: Pictures, maps: Mapping[str, Any] | None) -> Tile:
    """A picture with its heat map, where it has one."""
    tile = pictures.tile(picture)
    found: Mapping[str, Any] = (maps or {}).get(str(picture.get("id"))) or {}
    levels = found.get("levels")
    return replace(tile, heat=shade(levels)) if levels and tile.symbol else tile


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
