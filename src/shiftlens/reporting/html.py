"""``write_report``: from one JSON document to one page that opens anywhere, also offline.

The page loads nothing: styles, script and pictures are inside, and its content security policy
forbids everything else. The document itself stands in the page too, so that every number on it can
be read back.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from shiftlens.core.manifest import write_atomic
from shiftlens.reporting import numbers
from shiftlens.reporting.checking import check
from shiftlens.reporting.diff_checking import check_diff
from shiftlens.reporting.diff_labels import (
    SIGNS,
    has_margin,
    looked_at,
    margin_in_words,
    short_names,
)
from shiftlens.reporting.diff_summary import WHAT_TO_DO, diff_findings, percent_bounds
from shiftlens.reporting.diff_views import (
    answer_views,
    axis_of,
    born_views,
    furthest_apart,
    judged_views,
    ranked_views,
)
from shiftlens.reporting.diff_where import layer_chart, module_parts, role_part, share_bars
from shiftlens.reporting.images import Pictures
from shiftlens.reporting.summary import findings
from shiftlens.reporting.views import steering_views, toi_views


def write_report(
    data: Mapping[str, Any], path: str | Path, *, image_root: str | Path | None = None
) -> Path:
    """Draw a report of a run (docs/formats/metrics.md) or of a diff (docs/formats/diff.md).

    Args:
        data: the document, schema 1, which says which of the two it is; it is embedded as it is.
        path: the HTML file; replaced in one step.
        image_root: what relative picture paths start from; the working directory by default.

    Returns:
        the path of the page.

    Raises:
        DataError: another schema, or a part of the document that is missing or of the wrong kind.
        MachineError: the disk is full.
    """
    document = numbers.clean(data)
    pictures = Pictures(Path(image_root) if image_root is not None else None)
    page = _diff(document, pictures) if document.get("kind") == "diff" else _run(document, pictures)
    target = Path(path)
    # Model text may hold halves of characters, which no file can.
    write_atomic(target, page.encode("utf-8", errors="replace"))
    return target


def embedded_json(document: Any) -> Markup:
    """JSON that nothing inside it can end: no character that HTML gives a meaning is left."""
    text = json.dumps(document, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _run(document: Mapping[str, Any], pictures: Pictures) -> str:
    check(document)
    return _render(
        "page.html.j2",
        document,
        pictures,
        _asset("style.css") + _asset("explain.css"),
        findings=findings(document),
        tois=toi_views(document, pictures),
        steerings=steering_views(document, pictures),
    )


def _diff(document: Mapping[str, Any], pictures: Pictures) -> str:
    check_diff(document)
    shown, folded = judged_views(document, pictures)
    return _render(
        "diff.html.j2",
        document,
        pictures,
        _asset("style.css") + _asset("diff.css"),
        findings=diff_findings(document),
        names=short_names(document),
        place=looked_at(document["site"]),
        margin=margin_in_words(document["margins"]),
        has_margin=has_margin(document),
        axis=axis_of(document["concepts"]),
        shown=shown,
        folded=folded,
        born=born_views(document, pictures),
        answers=answer_views(document, pictures),
        most_nats=furthest_apart(document),
        ranking=ranked_views(document),
        layers=layer_chart(document),
        roles=role_part(document),
        modules=module_parts(document),
        shares=share_bars(document),
        signs=SIGNS,
        what_to_do=WHAT_TO_DO,
    )


def _render(
    template: str, document: Mapping[str, Any], pictures: Pictures, style: str, **views: Any
) -> str:
    script = _asset("page.js")
    return (
        _environment()
        .get_template(template)
        .render(
            data=document,
            # Every picture has been asked for by the views.
            symbols=pictures.symbols,
            style=Markup(style),
            script=Markup(script),
            script_hash=_hash(script),
            document=embedded_json(document),
            **views,
        )
    )


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
        signed=numbers.signed,
        percent=numbers.percent,
        count=numbers.count,
        duration=numbers.duration,
        bounds=numbers.bounds,
        percent_bounds=percent_bounds,
    )
    environment.tests["known"] = numbers.is_number
    return environment


def _asset(name: str) -> str:
    return (files("shiftlens.reporting") / "templates" / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The script's digest as a content security policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
