"""``Explanation``: what one answer says, word by word, in concepts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shiftlens.activations.site import Site
from shiftlens.activations.words.folding import fold
from shiftlens.concepts.grounding.explaining.activity import Activity
from shiftlens.concepts.grounding.explaining.saying import Where
from shiftlens.concepts.grounding.heat_maps import HeatMap
from shiftlens.core.errors import GroundingError, StoreError
from shiftlens.core.manifest import read_json, replacing, write_json
from shiftlens.core.shapes import Codes

if TYPE_CHECKING:
    from PIL.Image import Image

SCHEMA = 1
_DOCUMENT = "explanation.json"
_OWN = re.compile(r"heat-\d+-concept-\d+\.png|picture-\d+\.png")
_EDGE = 1024  # pixels of the longer side of saved pictures
_NOTES: dict[Where, str] = {
    "at the site": "",
    "same word": "said again: concepts were learned at another occurrence",
    "outside": "outside the site: read with care",
}


@dataclass(frozen=True)
class WordSeen:
    """A word of the answer, and the concepts at its state.

    Attributes:
        text: as it is written.
        start: its first character in the response.
        end: one behind its last.
        position: of its state along the response; 0 is the last prompt position.
        where: whether its state is of the kind that the concepts were learned at.
        concepts: the most active ones, the most active first; none where no direction is active,
            or where ``note`` says why.
        note: what is to be known about it; empty for a word at the site.
    """

    text: str
    start: int
    end: int
    position: int
    where: Where
    concepts: tuple[Activity, ...]
    note: str = ""

    @property
    def top(self) -> Activity | None:
        """The most active concept."""
        return self.concepts[0] if self.concepts else None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "position": self.position,
            "where": self.where,
            "note": self.note,
            "concepts": [one.to_dict() for one in self.concepts],
        }


@dataclass(frozen=True)
class ConceptSeen:
    """What a concept that is named at some word looks like to a person.

    Attributes:
        index: of the concept.
        size: how many rows it was learned from.
        words: its likeliest words.
        contrastive: words that it says more than other concepts do.
        neighbours: said words whose states lie nearest.
        images: ids of its most activating samples, with the paths of their pictures where known.
    """

    index: int
    size: int
    words: tuple[str, ...]
    contrastive: tuple[str, ...]
    neighbours: tuple[str, ...]
    images: tuple[tuple[str, str | None], ...]

    @property
    def called(self) -> tuple[str, ...]:
        """The words that tell it from other concepts, or else its likeliest."""
        return self.contrastive or self.words

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "index": self.index,
            "size": self.size,
            "words": list(self.words),
            "contrastive": list(self.contrastive),
            "neighbours": list(self.neighbours),
            "images": [{"id": name, "path": path} for name, path in self.images],
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which concepts are active at which word of one answer.

    Attributes:
        model: what the user calls it, with its adapter.
        prompt: what was asked.
        response: what was said, as decoded.
        truncated: whether the token limit cut it off.
        site: where the concepts come from.
        learner: its name.
        words: the whole words of the response in order.
        concepts: those that are named at some word, by index.
        activations: (words, k) of all concepts at every word: codes, or of centroids distances
            with a minus sign; nan where a word has no state.
        calibration: ``rows`` that activity was measured against, and whether they were
            ``held_out``; ``None`` where no store was given.
        heat_maps: of the most active concepts of the chosen words.
        occlusions: what hiding the hottest patches does, where it was asked for; JSON.
        pictures: what the model saw.
        notes: what could not be done or checked, and why.
    """

    model: str
    prompt: str
    response: str
    truncated: bool
    site: Site
    learner: str
    words: tuple[WordSeen, ...]
    concepts: tuple[ConceptSeen, ...]
    activations: Codes
    calibration: Mapping[str, Any] | None = None
    heat_maps: tuple[HeatMap, ...] = ()
    occlusions: tuple[Mapping[str, Any], ...] = ()
    pictures: "tuple[Image, ...]" = ()
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        named = ", ".join(
            f"{word.text}: {word.top.concept}" for word in self.words if word.top and not word.note
        )
        return f"Explanation({self.response.strip()!r}, {named or 'nothing at the site'})"

    def word(self, text: str) -> WordSeen:
        """The first occurrence of a word, in any letter case.

        Raises:
            GroundingError: it is not said.
        """
        wanted = fold(text.strip()).text
        for one in self.words:
            if fold(one.text).text == wanted:
                return one
        raise no_such_word(text, [one.text for one in self.words])

    def concept(self, index: int) -> ConceptSeen:
        """A concept that is named at some word.

        Raises:
            GroundingError: it is not.
        """
        for one in self.concepts:
            if one.index == index:
                return one
        known = ", ".join(str(one.index) for one in self.concepts)
        raise GroundingError(f"concept {index} is named at no word", allowed=known or "none")

    def to_dict(self) -> dict[str, Any]:
        """JSON, schema 1; docs/explain.md describes the keys."""
        return {
            "kind": "explanation",
            "schema": SCHEMA,
            "model": self.model,
            "prompt": self.prompt,
            "response": self.response,
            "truncated": self.truncated,
            "site": self.site.describe(),
            "learner": self.learner,
            "k": self.activations.shape[1],
            "calibration": dict(self.calibration) if self.calibration else None,
            "words": [one.to_dict() for one in self.words],
            "concepts": [one.to_dict() for one in self.concepts],
            "heat_maps": [_map(one) for one in self.heat_maps],
            "occlusions": [dict(one) for one in self.occlusions],
            "pictures": [_picture_name(at) for at in range(len(self.pictures))],
            "notes": list(self.notes),
        }

    def save(self, folder: str | Path) -> Path:
        """Write ``explanation.json`` and, beside it, the pictures and heat maps as PNG.

        Pictures and heat maps that an earlier explanation wrote there, and that this one has not,
        are removed; they are those that its ``explanation.json`` names. Other files stay.

        Returns:
            the folder.

        Raises:
            MachineError: the disk is full.
        """
        from shiftlens.concepts.grounding.sheets import overlay

        root = Path(folder)
        before = _written(root / _DOCUMENT)
        for at, image in enumerate(self.pictures):
            _write(image, root / _picture_name(at))
        for one in self.heat_maps:
            _write(overlay(self.pictures[one.picture], one, legend=False), root / _map_name(one))
        document = self.to_dict()
        write_json(root / _DOCUMENT, document)
        for name in before - _files(document):
            (root / name).unlink(missing_ok=True)
        return root


def no_such_word(text: str, said: Sequence[str]) -> GroundingError:
    """The error for a word that is not in the response."""
    known = ", ".join(dict.fromkeys(said))
    return GroundingError(f"the response does not say {text!r}", allowed=f"it says: {known}")


def note_of(where: Where) -> str:
    """What is to be known about a state by where it is."""
    return _NOTES[where]


def _written(document: Path) -> set[str]:
    """Files that the explanation of an earlier save names; none where there was none."""
    if not document.is_file():
        return set()
    try:
        return _files(read_json(document))
    except StoreError:
        return set()  # what cannot be read names no file: everything stays


def _files(document: Any) -> set[str]:
    """Pictures and heat maps of a document; whatever is not named as ``save`` names them is not."""
    if not isinstance(document, dict) or document.get("kind") != "explanation":
        return set()
    told: dict[str, Any] = document
    maps: list[Any] = [one for one in told.get("heat_maps") or () if isinstance(one, dict)]
    names: list[Any] = [*(told.get("pictures") or ()), *(one.get("file") for one in maps)]
    return {name for name in names if isinstance(name, str) and _OWN.fullmatch(name)}


def _map(one: HeatMap) -> dict[str, Any]:
    return {
        "concept": one.concept,
        "picture": one.picture,
        "method": one.method,
        "file": _map_name(one),
        # The numbers that its darkest and its lightest colour stand for.
        "low": float(np.nanmin(one.values)),
        "high": float(np.nanmax(one.values)),
        "patches": [[round(float(value), 4) for value in row] for row in one.patches],
    }


def _map_name(one: HeatMap) -> str:
    return f"heat-{one.picture}-concept-{one.concept}.png"


def _picture_name(number: int) -> str:
    return f"picture-{number}.png"


def _write(image: "Image", path: Path) -> None:
    """A picture as PNG, in one step; large ones are made smaller."""
    small = image.copy()
    small.thumbnail((_EDGE, _EDGE))
    with replacing(path) as temporary:
        small.save(temporary, "PNG")
