"""The page of a search for directions: what each does to answers, and what random ones reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.reporting.checking import require
from shiftlens.reporting.intervals import Bar, measure_bars
from shiftlens.reporting.numbers import count
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.summary import Finding

_PARTS: dict[str, type] = {
    "n": int,
    "null": list,
    "directions": list,
    "before": Mapping,
    "about": Mapping,
}
_DIRECTION: dict[str, type] = {
    "name": str,
    "result": Mapping,
    **dict.fromkeys(("dose", "beaten_by"), object),
}
_SHOWN = 12


@dataclass(frozen=True)
class DirectionView:
    """One direction: a bar of its score, and what became commoner and rarer."""

    data: Mapping[str, Any]
    bar: Bar
    route: str
    more: tuple[str, ...]
    fewer: str
    is_meaningful: bool


def write_discovery_page(data: Mapping[str, Any], path: str | Path) -> Path:
    """Draw what ``discover`` found (docs/search.md) as one page that loads nothing.

    Args:
        data: ``Discovery.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, discovery_page(data))


def discovery_page(data: Mapping[str, Any]) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    document = document_of(data, "discovery", _PARTS, page="docs/search.md")
    for number, one in enumerate(document["directions"]):
        require(one, _DIRECTION, f"directions[{number}]", page="docs/search.md")
        parts = {"primary": list, "score": object}
        require(one["result"], parts, f"directions[{number}].result", page="docs/search.md")
    views, null = _views(document)
    return draw(
        "discovery.html.j2",
        document,
        styles=("discovery.css",),
        findings=_findings(document, views),
        shown=views[:_SHOWN],
        folded=views[_SHOWN:],
        null=null,
        model=str((document["about"].get("model") or {}).get("name", "")),
    )


def _views(document: Mapping[str, Any]) -> tuple[list[DirectionView], Bar | None]:
    """All directions and the random ones on one axis of scores."""
    found, null = document["directions"], sorted(document["null"])
    figures: list[dict[str, Any]] = [
        {"label": one["name"], "estimate": one["result"]["score"]} for one in found
    ]
    if null:
        middle = null[len(null) // 2]
        chance = {"label": "random directions", "estimate": middle, "low": null[0]}
        figures.append({**chance, "high": null[-1]})
    bars = measure_bars(figures)
    views = [_view(one, bar) for one, bar in zip(found, bars, strict=False)]
    return views, bars[-1] if null else None


def _view(one: Mapping[str, Any], bar: Bar) -> DirectionView:
    result = one["result"]
    lost = result.get("lost")
    return DirectionView(
        data=one,
        bar=bar,
        route=one["name"].partition(":")[0].removeprefix("concept "),
        more=tuple(
            f"{gain['answer']} ({count(gain['before'])} → {count(gain['after'])})"
            for gain in result["primary"]
        ),
        fewer=f"{lost[0]} (−{count(lost[1])})" if lost else "",
        is_meaningful=one["beaten_by"] == 0 and bool(result["primary"]),
    )


def _findings(document: Mapping[str, Any], views: Sequence[DirectionView]) -> list[Finding]:
    good = [one for one in views if one.is_meaningful]
    reach = max(document["null"], default=0)
    chance = f"{len(document['null'])} random directions as long score at most {count(reach)}"
    found = [
        Finding(
            "How many directions mean something?",
            f"{len(good)} of {len(views)}",
            (f"they score above every random one; {chance}.",),
            "good" if good else "mixed",
        )
    ]
    if good:
        best = good[0]
        heading = "What does the best one do?"
        lines = [f"direction {best.route}, score {best.bar.estimate.removesuffix('.00')}"]
        if best.fewer:
            lines.append(f"fewer: {best.fewer}")
        found.append(Finding(heading, f"more: {', '.join(best.more)}", tuple(lines), "plain"))
    return found
