"""``write_report``: from one JSON document to one page that opens anywhere, also offline.

The page loads nothing: styles, script and pictures are inside, and its content security policy
forbids everything else. The document itself stands in the page too, so that every number on it can
be read back.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
from shiftlens.reporting.diff_summary import WHAT_TO_DO, diff_findings
from shiftlens.reporting.diff_views import (
    answer_views,
    axis_of,
    born_views,
    diff_flow,
    furthest_apart,
    judged_views,
    ranked_views,
)
from shiftlens.reporting.diff_where import layer_chart, module_parts, role_part, share_bars
from shiftlens.reporting.images import Pictures
from shiftlens.reporting.overview import origins, sentences
from shiftlens.reporting.pages import Page, draw, write_page
from shiftlens.reporting.steering_views import steering_views
from shiftlens.reporting.summary import findings
from shiftlens.reporting.views import toi_views


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
    return write_page(path, report_page(data, image_root))


def report_page(data: Mapping[str, Any], image_root: str | Path | None = None) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    document = numbers.clean(data)
    pictures = Pictures(Path(image_root) if image_root is not None else None)
    return _diff(document, pictures) if document.get("kind") == "diff" else _run(document, pictures)


def _run(document: Mapping[str, Any], pictures: Pictures) -> Page:
    check(document)
    tois = toi_views(document, pictures)
    steerings = steering_views(document, pictures)
    return draw(
        "page.html.j2",
        document,
        styles=("explain.css", "fronts.css", "steering.css", "concepts.css"),
        scripts=("concepts.js",),
        # Every picture has been asked for by the views.
        symbols=pictures.symbols,
        findings=findings(document),
        sentences=sentences(document),
        origins=origins(document),
        tois=tois,
        steerings=steerings,
    )


def _diff(document: Mapping[str, Any], pictures: Pictures) -> Page:
    check_diff(document)
    shown, folded = judged_views(document, pictures)
    born, answers = born_views(document, pictures), answer_views(document, pictures)
    return draw(
        "diff.html.j2",
        document,
        styles=("diff.css", "concepts.css"),
        scripts=("concepts.js",),
        symbols=pictures.symbols,
        findings=diff_findings(document),
        names=short_names(document),
        place=looked_at(document["site"]),
        margin=margin_in_words(document["margins"]),
        has_margin=has_margin(document),
        axis=axis_of(document["concepts"]),
        shown=shown,
        folded=folded,
        flow=diff_flow(document),
        born=born,
        answers=answers,
        most_nats=furthest_apart(document),
        ranking=ranked_views(document),
        layers=layer_chart(document),
        roles=role_part(document),
        modules=module_parts(document),
        shares=share_bars(document),
        signs=SIGNS,
        what_to_do=WHAT_TO_DO,
    )
