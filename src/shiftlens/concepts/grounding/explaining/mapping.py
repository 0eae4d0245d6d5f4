"""Heat maps of an answer's concepts, and what hiding their hottest patches does."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from shiftlens.activations.words.folding import fold
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.explaining.explanation import WordSeen
from shiftlens.concepts.grounding.heat_maps import HeatMap, heat_maps
from shiftlens.concepts.grounding.occlusion import occlusion
from shiftlens.core.errors import GroundingError, ShiftLensError, SiteError
from shiftlens.data.sample import Sample
from shiftlens.models.model import Model, Response

_DRAWS = 19  # random choices that one map by chance beats all of once in twenty times

METHODS = ("projection", "cosine", "readout", "occlusion")
"""Ways to make heat maps that need nothing but the picture and the answer."""


@dataclass(frozen=True)
class Drawing:
    """How heat maps are made.

    Attributes:
        method: see ``heat_maps``.
        check: whether the hottest patches are hidden, and as many random ones.
        most: concepts that get maps, at most.
    """

    method: str
    check: bool
    most: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise GroundingError(
                f"unknown method {self.method!r} of heat maps", allowed=", ".join(METHODS)
            )


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn.

    Attributes:
        maps: for each concept one a picture.
        checks: what hiding patches does, as JSON; one a map where it was asked for.
        notes: what could not be done, and why.
    """

    maps: tuple[HeatMap, ...] = ()
    checks: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def mapped(seen: Sequence[WordSeen], words: Collection[str]) -> list[int]:
    """Concepts that are worth a map: the first of every chosen word, then the second of every one.

    Args:
        seen: the words of the answer.
        words: the chosen ones; by default those at the concepts' site, or all if there are none.
    """
    wanted = {fold(one.strip()).text for one in words}
    chosen = [one for one in seen if fold(one.text).text in wanted]
    chosen = chosen or [one for one in seen if one.where == "at the site"] or list(seen)
    ranked = [
        (rank, one)
        for word in chosen
        for rank, one in enumerate(word.concepts)
        if rank == 0 or one.code is not None  # a state belongs to one centroid, the nearest
    ]
    # What is known to be inactive is drawn only where nothing else is.
    ranked = [(rank, one) for rank, one in ranked if one.active is not False] or [
        (rank, one) for rank, one in ranked if rank == 0
    ]
    return list(dict.fromkeys(one.concept for _, one in sorted(ranked, key=lambda pair: pair[0])))


def draw(
    model: Model,
    concepts: Concepts,
    sample: Sample,
    response: Response,
    which: Sequence[int],
    how: Drawing,
) -> Drawn:
    """Heat maps over every picture of a sample; what cannot be drawn is a note, not an error."""
    numbers = list(which)[: how.most]
    maps: list[HeatMap] = []
    try:
        for picture in range(len(sample.images) if numbers else 0):
            maps += heat_maps(
                model,
                concepts,
                [sample],
                which=numbers,
                method=how.method,
                picture=picture,
                said={sample.id: response},
            )[0]
    except (SiteError, GroundingError) as error:
        return Drawn(notes=(f"no heat maps: {_in_one_line(error)}",))
    if not how.check:
        return Drawn(tuple(maps))
    try:
        return Drawn(
            tuple(maps), tuple(_check(model, concepts, sample, response, one) for one in maps)
        )
    except (SiteError, GroundingError) as error:
        return Drawn(tuple(maps), notes=(f"heat maps were not checked: {_in_one_line(error)}",))


def _check(
    model: Model, concepts: Concepts, sample: Sample, response: Response, one: HeatMap
) -> dict[str, Any]:
    found = occlusion(
        model,
        concepts,
        sample,
        one.concept,
        heat_map=one,
        response=response,
        picture=one.picture,
        n_draws=_DRAWS,
    )
    return {**found.to_dict(), "picture": one.picture}


def _in_one_line(error: ShiftLensError) -> str:
    return f"{error.given} ({error.allowed})" if error.allowed else error.given
