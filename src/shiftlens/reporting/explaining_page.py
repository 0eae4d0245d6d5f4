"""The page of one explanation: the answer word by word, the picture, and the concepts."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shiftlens.core.errors import DataError
from shiftlens.core.manifest import write_atomic
from shiftlens.reporting import numbers
from shiftlens.reporting.checking import require
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
from shiftlens.reporting.html import embedded_json
from shiftlens.reporting.images import Pictures, large_picture

_SCHEMA = 1
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
    document = numbers.clean(data)
    if (document.get("kind"), document.get("schema")) != ("explanation", _SCHEMA):
        raise DataError(
            f"a {document.get('kind')!r} of schema {document.get('schema')!r} is no explanation",
            allowed=f"'explanation' of schema {_SCHEMA}",
        )
    require(document, _PARTS, "the explanation's data", page="docs/explain.md")
    target = Path(path)
    root = target.parent if image_root is None else Path(image_root)
    write_atomic(target, _page(document, root).encode("utf-8", errors="replace"))
    return target


def _page(document: Mapping[str, Any], root: Path) -> str:
    script, pictures = _asset("page.js"), Pictures(root)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    concepts = concept_views(document, pictures)
    return (
        _environment()
        .get_template("explain.html.j2")
        .render(
            data=document,
            symbols=pictures.symbols,
            style=Markup(_asset("style.css") + _asset("explain.css")),
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            document=embedded_json(document),
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
    )


def _views(document: Mapping[str, Any], root: Path) -> list[str | None]:
    """The pictures that were asked about; ``None`` where one cannot be read."""
    return [large_picture(root / name) for name in document["pictures"]]


def _maps(document: Mapping[str, Any], root: Path) -> list[dict[str, Any]]:
    return [{**one, "uri": large_picture(root / one["file"])} for one in document["heat_maps"]]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("shiftlens.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimal=numbers.decimal,
        count=numbers.count,
        percent=numbers.percent,
        signed=numbers.signed,
        how=how_active,
        state=state_of,
        amount=value_of,
    )
    environment.tests["known"] = numbers.is_number
    return environment


def _asset(name: str) -> str:
    return (files("shiftlens.reporting") / "templates" / name).read_text(encoding="utf-8")
