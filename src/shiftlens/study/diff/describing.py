"""The concepts of a diff as JSON: what page, terminal and policy checks read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.data.privacy import path_of
from shiftlens.data.sample import Sample
from shiftlens.reporting.numbers import clean
from shiftlens.shift.choosing import Choice
from shiftlens.shift.concept_shift import ConceptChange, ConceptShift
from shiftlens.shift.kinds import BORN, Kinds
from shiftlens.shift.margins import Margins
from shiftlens.shift.sameness import Sameness
from shiftlens.shift.verdicts import Verdicts, summary
from shiftlens.study.diff.visible import Visible

_WORDS = (
    *("words_base", "words_tuned", "contrastive_base", "contrastive_tuned", "came", "went"),
    *("words_shifted",),
)
_NUMBERS = (
    *("index", "partner", "nearest", "share", "overlap", "cosine", "magnitude", "consistency"),
    *("lost",),
)


@dataclass(frozen=True)
class Found:
    """Everything that was found of the concepts."""

    shift: ConceptShift
    judged: Verdicts
    kinds: Kinds
    same: Sequence[Sameness]
    margins: Margins
    choice: Choice
    visible: Mapping[int, Visible]
    refined: Mapping[int, Mapping[str, Any]]


def describe(found: Found, samples: Mapping[str, Sample]) -> dict[str, Any]:
    """The parts ``k``, ``margins``, ``summary``, ``concepts`` and ``born`` of diff.json."""
    changes = found.shift.changes()
    return clean(
        {
            "k": found.choice.to_dict(),
            "margins": found.margins.to_dict(),
            "summary": {name: summary(found.judged, name) for name in ("moved", "own")},
            "interval_width": found.judged.width,
            "concepts": [_concept(change, found, samples) for change in changes],
            "flow": found.shift.flow,
            "born": _born(found, samples),
        }
    )


def _concept(change: ConceptChange, found: Found, samples: Mapping[str, Sample]) -> dict[str, Any]:
    i = change.index
    verdicts = found.judged.concepts[i]
    refined = found.refined.get(i)
    kind = found.kinds.base[i].to_dict()
    if verdicts["moved"].verdict != "changed":
        kind["kind"] = None  # what did not surely move has no kind of change
    elif refined and refined["refined"]:
        kind["kind"] = "refined"
    return {
        **{name: getattr(change, name) for name in _NUMBERS},
        **{name: list(getattr(change, name)) for name in _WORDS},
        "images_base": _pictures(change.images_base, samples),
        "images_tuned": _pictures(change.images_tuned, samples),
        "pictures": verdicts["moved"].pictures,
        "stability": found.judged.stability[i],
        "moved": verdicts["moved"].to_dict(),
        "own": verdicts["own"].to_dict(),
        "kind": kind,
        "same": found.same[i].to_dict(),
        "topic": None if refined is None else dict(refined),
        "visible": found.visible[i].to_dict(),
    }


def _born(found: Found, samples: Mapping[str, Sample]) -> list[dict[str, Any]]:
    """Concepts that only the tuned model has."""
    tuned = found.shift.tuned
    return [
        {
            "index": index,
            "words": list(tuned.words[index]),
            "contrastive": list(tuned.contrastive[index]),
            "share": tuned.sizes[index] / max(1, sum(tuned.sizes)),
            "images": _pictures(tuned.images[index], samples),
            **kind.to_dict(),
        }
        for index, kind in enumerate(found.kinds.tuned)
        if kind.kind == BORN
    ]


def _pictures(ids: tuple[str, ...], samples: Mapping[str, Sample]) -> list[dict[str, str | None]]:
    return [{"id": one, "path": path_of(samples[one])} for one in ids]


def without_pictures(document: Any) -> Any:
    """The document without any path of a picture; samples keep their ids.

    Reasons why a picture could not be read name its path, and go too.
    """
    if isinstance(document, dict):
        hidden = {"image", "path"} | ({"reason"} if "id" in document else set())
        return {
            key: None if key in hidden else without_pictures(value)
            for key, value in document.items()
        }
    return [without_pictures(one) for one in document] if isinstance(document, list) else document
