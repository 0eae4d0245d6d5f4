"""The page of one explanation: the answer word by word, the picture, and the concepts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftlens.reporting.explaining_views import (
    concept_views,
    explaining_findings,
    glosses,
    how_active,
    learned_from,
    of_centroids,
    place_in_words,
    state_of,
    value_of,
)
from shiftlens.reporting.images import Pictures, large_picture
from shiftlens.reporting.pages import Page, document_of, draw, write_page

METHODS = {
    "projection": "the state of each patch, less the mean of the picture, along the concept",
    "cosine": "the cosine of each patch’s state, less the mean of the picture, with the concept",
    "readout": "how much likelier than at the mean patch each patch’s state makes its words",
    "occlusion": "how much of the concept is lost where the concepts come from without that place",
}
"""How heat maps are made, in words."""

_PARTS: dict[str, type] = {
    **dict.fromkeys(("model", "prompt", "response", "learner"), str),
    **dict.fromkeys(("words", "concepts", "heat_maps", "pictures", "notes", "occlusions"), list),
    "site": Mapping,
    "k": int,
    "truncated": bool,
    "calibration": object,
}


def write_explanation_page(
    data: Mapping[str, Any], path: str | Path, *, image_root: str | Path | None = None
) -> Path:
    """Draw an explanation (docs/explain.md) as one page that loads nothing.

    Args:
        data: ``Explanation.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.
        image_root: the folder that ``Explanation.save`` wrote, from which pictures and heat maps
            are taken; the folder of ``path`` by default.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, explanation_page(data, image_root or Path(path).parent))


def explanation_page(data: Mapping[str, Any], image_root: str | Path | None = None) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    document = document_of(data, "explanation", _PARTS, page="docs/explain.md")
    return _page(document, Path(image_root or "."))


def _page(document: Mapping[str, Any], root: Path) -> Page:
    pictures = Pictures(root)
    concepts = concept_views(document, pictures)
    return draw(
        "explain.html.j2",
        document,
        styles=("explain.css",),
        symbols=pictures.symbols,
        filters={"how": how_active, "state": state_of, "amount": value_of},
        findings=explaining_findings(document),
        place=place_in_words(document["site"]),
        glosses=glosses(document),
        views=_views(document, root),
        maps={(one["concept"], one["picture"]): one for one in _maps(document, root)},
        mapped=list(dict.fromkeys(one["concept"] for one in document["heat_maps"])),
        concepts=concepts,
        names={one.data["index"]: ", ".join(one.called[:2]) for one in concepts},
        of_centroids=of_centroids(document),
        measured=learned_from(document),
        made=METHODS.get(next((one["method"] for one in document["heat_maps"]), ""), ""),
    )


def _views(document: Mapping[str, Any], root: Path) -> list[str | None]:
    """The pictures that were asked about; ``None`` where one cannot be read."""
    return [large_picture(root / name) for name in document["pictures"]]


def _maps(document: Mapping[str, Any], root: Path) -> list[dict[str, Any]]:
    return [{**one, "uri": large_picture(root / one["file"])} for one in document["heat_maps"]]
