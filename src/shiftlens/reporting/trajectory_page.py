"""The page of a trajectory: how far concepts drifted at every checkpoint, and from when on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.reporting.curves import Chart, chart
from shiftlens.reporting.diff_labels import SIGNS, looked_at
from shiftlens.reporting.numbers import bounds, decimal, is_number, percent
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.summary import Finding

_PARTS: dict[str, type] = {
    "axis": str,
    **dict.fromkeys(("steps", "everything", "concepts"), list),
    "margins": Mapping,
    "about": Mapping,
}
_SHOWN = 6  # charts of concepts before the fold
_WORDS = 4


@dataclass(frozen=True)
class ConceptView:
    """One concept: its chart, its last verdicts, and all of its numbers."""

    data: Mapping[str, Any]
    name: str
    chart: Chart | None
    moved: Mapping[str, Any]
    own: Mapping[str, Any]
    since: str


def write_trajectory_page(data: Mapping[str, Any], path: str | Path) -> Path:
    """Draw a trajectory (docs/formats/trajectory.md) as one page that loads nothing.

    Args:
        data: ``Trajectory.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, trajectory_page(data))


def trajectory_page(data: Mapping[str, Any]) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    return _page(document_of(data, "trajectory", _PARTS, page="docs/formats/trajectory.md"))


def _page(document: Mapping[str, Any]) -> Page:
    concepts = _concepts(document)
    return draw(
        "trajectory.html.j2",
        document,
        styles=("diff.css", "trajectory.css"),
        findings=_findings(document, concepts),
        place=_place(document),
        base=str((document["about"].get("base") or {}).get("name", "the base model")),
        everything=_everything(document),
        answers=_answers(document),
        concepts=concepts[:_SHOWN],
        folded=concepts[_SHOWN:],
        margin=_margin(document["margins"]),
        signs=SIGNS,
    )


def _place(document: Mapping[str, Any]) -> str:
    site = document["about"].get("site")
    return looked_at(site) if site and site.get("tokens") else "the chosen tokens"


def _xs(document: Mapping[str, Any]) -> list[float]:
    return [step["x"] for step in document["steps"]]


def _everything(document: Mapping[str, Any]) -> Chart | None:
    whole = document["everything"]
    return chart(
        "All states together",
        "drift, spreads",
        _xs(document),
        {"moved": [one["estimate"] for one in whole]},
        x_label=_axis(document),
        at=document["axis"],
        bands={"moved": _ends(whole)},
        level=(0.0, ""),
    )


def _answers(document: Mapping[str, Any]) -> Chart | None:
    said = document.get("answers")
    if not said:
        return None
    return chart(
        "Answers that differ from the base’s",
        "share",
        _xs(document),
        {"answers": [one["estimate"] for one in said]},
        x_label=_axis(document),
        at=document["axis"],
        bands={"answers": _ends(said)},
    )


def _axis(document: Mapping[str, Any]) -> str:
    return "scale of the adapter" if document["axis"] == "scale" else "training step"


def _ends(points: Sequence[Mapping[str, Any]]) -> list[tuple[Any, Any]]:
    return [(one["low"], one["high"]) for one in points]


def _concepts(document: Mapping[str, Any]) -> list[ConceptView]:
    """Those that changed first come first; among equals the one that drifted furthest."""
    views = [_concept(document, one) for one in document["concepts"]]

    def order(view: ConceptView) -> tuple[float, float]:
        first, last = view.data["moved"]["first_changed"], view.moved.get("estimate")
        return (
            first if is_number(first) else float("inf"),
            -last if is_number(last) else float("inf"),
        )

    return sorted(views, key=order)


def _concept(document: Mapping[str, Any], one: Mapping[str, Any]) -> ConceptView:
    name = ", ".join(one["words"][:_WORDS]) or f"concept {one['index']}"
    first = one["moved"]["first_changed"]
    curves = {
        kind: [point["estimate"] for point in one[kind]["points"]] for kind in ("own", "moved")
    }
    margin = document["margins"].get("moved")
    return ConceptView(
        data=one,
        name=name,
        chart=chart(
            name if len(name) <= 60 else f"{name[:59]}…",
            "drift, spreads",
            _xs(document),
            {"concept": curves["moved"], "apart": curves["own"]},
            x_label=_axis(document),
            at=document["axis"],
            bands={"concept": _ends(one["moved"]["points"])},
            level=(margin, f"margin {decimal(margin)}"),
            since=(first, f"changed from {document['axis']} {_short(first)} on"),
        ),
        moved=_last(one["moved"]["points"]),
        own=_last(one["own"]["points"]),
        since=_since(document, one["moved"]),
    )


def _last(points: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return points[-1] if points else {}


def _short(x: Any) -> str:
    return f"{x:g}" if is_number(x) else ""


def _since(document: Mapping[str, Any], curve: Mapping[str, Any]) -> str:
    """From when on a concept has changed, or what is known of it in the end."""
    if is_number(curve["first_changed"]):
        return f"{document['axis']} {_short(curve['first_changed'])}"
    if document["margins"].get("source") == "none":
        return "not judged"
    # A verdict of changed at the last step alone is a first one that stays.
    return str(_last(curve["points"]).get("verdict", "undecided"))


def _findings(document: Mapping[str, Any], concepts: Sequence[ConceptView]) -> list[Finding]:
    found = [_when(document, concepts), _how_far(document)]
    said = document.get("answers")
    if said:
        last = said[-1]
        ends = f"95 % interval [{percent(last['low'])}, {percent(last['high'])}]"
        who = f"at {document['axis']} {_short(_xs(document)[-1])}; {ends}"
        found.append(Finding("Do answers differ?", percent(last["estimate"]), (who,), "plain"))
    return found


def _when(document: Mapping[str, Any], concepts: Sequence[ConceptView]) -> Finding:
    heading = "From when on did concepts change?"
    if document["margins"].get("source") == "none":
        line = "No margin says what counts as nothing: name one, or give placebos."
        return Finding(heading, "nothing is judged", (line,), "plain")
    changed = [one for one in concepts if is_number(one.data["moved"]["first_changed"])]
    verdicts = [one.moved.get("verdict") for one in concepts]
    rest = ", ".join(
        f"{verdicts.count(name)} {name}" for name in ("stable", "undecided") if name in verdicts
    )
    if not changed:
        return Finding(heading, "none has changed", (f"In the end: {rest}.",), "plain")
    lines = [f"{len(changed)} of {len(concepts)} have changed by the end and stay so."]
    if rest:
        lines.append(f"The others: {rest}.")
    return Finding(heading, f"from {changed[0].since} on: {changed[0].name}", tuple(lines), "mixed")


def _how_far(document: Mapping[str, Any]) -> Finding:
    heading = "How far did all states move?"
    if not document["everything"]:
        return Finding(heading, "not known", (), "plain")
    last = document["everything"][-1]
    where = f"at {document['axis']} {_short(_xs(document)[-1])}"
    said = f"{decimal(last['estimate'])} spreads"
    return Finding(heading, said, (f"{where}; 95 % interval {bounds(last)}",), "plain")


def _margin(margins: Mapping[str, Any]) -> str:
    """What counts as nothing, in a sentence."""
    source = margins.get("source")
    if source == "none":
        return "Nothing is judged here: no margin says what counts as nothing."
    n = len(margins.get("placebos") or ())
    whose = f"comes from {n} placebos" if source == "placebos" else "was named by the user"
    return (
        f"The margin of {decimal(margins.get('moved'))} spreads {whose}: changed means that the "
        "whole interval lies above it, stable that it lies below."
    )
