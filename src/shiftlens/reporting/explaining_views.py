"""What the page and the terminal say of an explanation: phrases, glosses, findings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.diff_labels import looked_at
from shiftlens.reporting.images import Pictures, Tile
from shiftlens.reporting.numbers import decimal, percent
from shiftlens.reporting.summary import Finding

AT_THE_SITE = "at the site"
_SHOWN = 3  # words that name a concept


@dataclass(frozen=True)
class Gloss:
    """One word of the answer with the most active concept at its state.

    Attributes:
        number: of the word in the answer, from 0.
        text: the word.
        where: what its state is to the concepts' site.
        note: what is to be known about it.
        concept: index of the most active concept; ``None`` where there is none.
        called: words that name it.
        active: ``yes``, ``no`` or ``unknown``.
        share: of the concept's own rows that are less active, for the gauge; ``None`` unknown.
        how: how active it is, in words.
        mapped: whether the concept has a heat map.
    """

    number: int
    text: str
    where: str
    note: str
    concept: int | None
    called: tuple[str, ...]
    active: str
    share: float | None
    how: str
    mapped: bool


@dataclass(frozen=True)
class MapView:
    """A heat map of a concept.

    Attributes:
        data: of the document.
        checked: what hiding its hottest patches does, in words; empty where it was not tried.
        holds: whether that takes more of the concept away than any random choice of patches.
    """

    data: Mapping[str, Any]
    checked: str
    holds: bool | None


@dataclass(frozen=True)
class ConceptView:
    """A concept that is named at some word.

    Attributes:
        data: of the document.
        called: words that name it.
        tiles: its most activating samples.
        maps: its heat maps.
        words: texts of the words at which it is active.
        first: whether it is active at a word, or the most active one where nothing is calibrated.
    """

    data: Mapping[str, Any]
    called: tuple[str, ...]
    tiles: tuple[Tile, ...]
    maps: tuple[MapView, ...]
    words: tuple[str, ...]
    first: bool


def place_in_words(site: Mapping[str, Any]) -> str:
    """Where concepts come from, with a few of its words."""
    words = site["tokens"].get("words") or ()
    if len(words) <= _SHOWN + 1:
        return looked_at(site)
    named = ", ".join(f"“{word}”" for word in words[:_SHOWN])
    return f"{named} or {len(words) - _SHOWN} other words"


def called(concept: Mapping[str, Any], n: int = _SHOWN) -> tuple[str, ...]:
    """Words that tell a concept from the others, or else its likeliest."""
    lists = (concept["contrastive"], concept["words"], concept["neighbours"])
    return tuple(next((one for one in lists if one), ())[:n])


def state_of(activity: Mapping[str, Any]) -> str:
    """``yes``, ``no``, or ``unknown`` where activity was not calibrated."""
    return {True: "yes", False: "no"}.get(activity["active"], "unknown")


def how_active(activity: Mapping[str, Any]) -> str:
    """How active a concept is at a state, in words."""
    of_centroid = activity["distance"] is not None
    above = activity["above"]
    if above is None:
        margin = percent(abs(activity["margin"]))
        if activity["margin"] >= 0:
            return f"{'nearest' if of_centroid else 'largest'} by {margin}; not calibrated"
        return f"{margin} {'farther than the nearest' if of_centroid else 'behind the largest'}"
    if activity["active"] is False and activity["margin"] < 0 and of_centroid and above > 0:
        return f"nearer than {percent(above)} of its own rows, but another is nearer"
    if above == 0:
        return f"{'farther' if of_centroid else 'less active'} than all of its own rows"
    share = "all" if above == 1 else percent(above)
    return f"{'nearer' if of_centroid else 'more active'} than {share} of its own rows"


def glosses(document: Mapping[str, Any]) -> list[Gloss]:
    """The words of the answer in order."""
    mapped = {one["concept"] for one in document["heat_maps"]}
    concepts = {one["index"]: one for one in document["concepts"]}
    return [_gloss(at, word, concepts, mapped) for at, word in enumerate(document["words"])]


def _gloss(
    number: int,
    word: Mapping[str, Any],
    concepts: Mapping[int, Mapping[str, Any]],
    mapped: set[int],
) -> Gloss:
    top = next(iter(word["concepts"]), None)
    about = (number, word["text"], word["where"], word["note"])
    if top is None:
        return Gloss(*about, None, (), "no", None, "no concept is active", mapped=False)
    index = top["concept"]
    told = (index, called(concepts[index]), state_of(top), top["above"], how_active(top))
    return Gloss(*about, *told, mapped=index in mapped)


def concept_views(document: Mapping[str, Any], pictures: Pictures) -> list[ConceptView]:
    """Concepts that are named at some word: the active ones first, then by index."""
    views = [_concept(document, one, pictures) for one in document["concepts"]]
    return sorted(views, key=lambda view: (not view.first, not view.maps, view.data["index"]))


def _concept(
    document: Mapping[str, Any], concept: Mapping[str, Any], pictures: Pictures
) -> ConceptView:
    index = concept["index"]
    active = [
        word["text"]
        for word in document["words"]
        for one in word["concepts"]
        if one["concept"] == index and one["active"]
    ]
    leads = any(
        word["concepts"] and word["concepts"][0]["concept"] == index
        for word in document["words"]
        if word["where"] == AT_THE_SITE
    )
    uncalibrated = document["calibration"] is None
    return ConceptView(
        concept,
        called(concept),
        tuple(pictures.tile(one) for one in concept["images"]),
        tuple(one for one in map_views(document) if one.data["concept"] == index),
        tuple(dict.fromkeys(active)),
        bool(active) or (uncalibrated and leads),
    )


def map_views(document: Mapping[str, Any]) -> list[MapView]:
    """Heat maps, each with its check."""
    checks = {(one["concept"], one["picture"]): one for one in document["occlusions"]}
    return [
        _map(one, checks.get((one["concept"], one["picture"]))) for one in document["heat_maps"]
    ]


def _map(one: Mapping[str, Any], check: Mapping[str, Any] | None) -> MapView:
    if check is None:
        return MapView(one, "", None)
    whole, random = check["activation"], check["random"]
    holds = check["top"] > max(random)
    # Both ends, not what is lost: more than all can be lost, since activations go below zero.
    told = (
        f"without its {len(check['patches'])} hottest patches the concept goes from "
        f"{decimal(whole, 1)} to {decimal(whole - check['top'], 1)}; without as many random ones "
        f"to {decimal(whole - sum(random) / len(random), 1)} on average, in none of "
        f"{len(random)} draws below {decimal(whole - max(random), 1)}"
    )
    verdict = "" if holds else ": no better than chance"
    return MapView(one, told + verdict, holds)


def explaining_findings(document: Mapping[str, Any]) -> list[Finding]:
    """What was said, which words can be judged, and what is active there."""
    return [_said(document), _judged(document), _active(document)]


def _said(document: Mapping[str, Any]) -> Finding:
    cut = ("cut off by the token limit",) if document["truncated"] else ()
    asked = (
        f"asked: {document['prompt']}" if document["prompt"] else "asked about the picture alone"
    )
    return Finding("What did the model say?", document["response"].strip(), (asked, *cut), "plain")


def _judged(document: Mapping[str, Any]) -> Finding:
    words = [one["text"] for one in document["words"] if one["where"] == AT_THE_SITE]
    rest = len(document["words"]) - len(words)
    lines = (f"concepts come from: {place_in_words(document['site'])}",)
    if rest:
        lines += (f"{rest} other {'word is' if rest == 1 else 'words are'} read with care",)
    told = ", ".join(f"“{one}”" for one in dict.fromkeys(words))
    return Finding(
        "Which words are where the concepts come from?",
        told or "none of them",
        lines,
        "plain" if words else "mixed",
    )


def _active(document: Mapping[str, Any]) -> Finding:
    heading = "What is active there?"
    if document["calibration"] is None:
        why = "no rows to measure against were given: concepts are ranked, none is called active"
        return Finding(heading, "not calibrated", (why,), "plain")
    concepts = {one["index"]: one for one in document["concepts"]}
    lines: list[str] = []
    named: list[str] = []
    for word in document["words"]:
        if word["where"] != AT_THE_SITE:
            continue
        for one in word["concepts"]:
            if one["active"]:
                words = ", ".join(called(concepts[one["concept"]])) or "no words"
                named.append(f"concept {one['concept']}: {words}")
                lines.append(f"“{word['text']}”: {how_active(one)}")
    if not named:
        return Finding(heading, "no concept", ("at no word of the site",), "mixed")
    return Finding(heading, "; ".join(dict.fromkeys(named)), tuple(dict.fromkeys(lines)), "good")


def of_centroids(document: Mapping[str, Any]) -> bool:
    """Whether concepts are told by their distance, and not by a code."""
    named = (one for word in document["words"] for one in word["concepts"])
    return any(one["distance"] is not None for one in named)


def value_of(activity: Mapping[str, Any]) -> str:
    """Distance or code."""
    return decimal(activity["code"] if activity["distance"] is None else activity["distance"])


def learned_from(document: Mapping[str, Any]) -> Sequence[str]:
    """How activity was measured, a sentence each."""
    calibration = document["calibration"]
    if calibration is None:
        return (
            "No rows were given to measure activity against: some centroid is always the nearest, "
            "and how near is near is not known.",
        )
    kind = "did not learn" if calibration["held_out"] else "learned"
    return (
        f"Activity is measured against {calibration['rows']} rows that {kind} the concepts: a "
        "concept is active where the state is as near to it (or its code as large) as for all but "
        "5\N{NO-BREAK SPACE}% of the rows that belong to it.",
    )
