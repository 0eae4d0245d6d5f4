"""An explained answer inside a report: the words, the picture, and one heat map beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shiftlens.reporting.explaining_views import (
    Gloss,
    MapView,
    called,
    glosses,
    learned_from,
    map_views,
    of_centroids,
)
from shiftlens.reporting.images import Pictures


@dataclass(frozen=True)
class ExplainedMap:
    """A heat map that is shown.

    Attributes:
        view: the map with its check.
        called: words that name its concept.
        uri: the picture with the map over it; ``None`` where it cannot be read.
    """

    view: MapView
    called: tuple[str, ...]
    uri: str | None


@dataclass(frozen=True)
class Explained:
    """One answer.

    Attributes:
        data: ``Explanation.to_dict()``.
        glosses: its words in order.
        pictures: those that were asked about; ``None`` where one cannot be read.
        maps: heat maps of the concept at the word.
        by_distance: whether concepts are told by distance, and not by a code.
        measured: how activity was measured, a sentence each.
    """

    data: Mapping[str, Any]
    glosses: tuple[Gloss, ...]
    pictures: tuple[str | None, ...]
    maps: tuple[ExplainedMap, ...]
    by_distance: bool
    measured: tuple[str, ...]


def explained(one: Mapping[str, Any], pictures: Pictures) -> Explained:
    """Arrange ``{"sample", "folder", "document"}`` of a report's data."""
    document, folder = one["document"], one["folder"]
    concepts = {concept["index"]: concept for concept in document["concepts"]}
    maps = tuple(
        ExplainedMap(
            view,
            called(concepts[view.data["concept"]]),
            pictures.large(f"{folder}/{view.data['file']}"),
        )
        for view in map_views(document)
    )
    return Explained(
        document,
        tuple(glosses(document)),
        tuple(pictures.large(f"{folder}/{name}") for name in document["pictures"]),
        maps,
        of_centroids(document),
        tuple(learned_from(document)),
    )
