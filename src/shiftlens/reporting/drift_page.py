"""The page of a training that was watched: how far concepts drifted at every look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.reporting.checking import require
from shiftlens.reporting.curves import Chart, chart
from shiftlens.reporting.diff_labels import looked_at
from shiftlens.reporting.numbers import decimal, is_number
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.summary import Finding

_PARTS: dict[str, type] = {
    "history": list,
    **dict.fromkeys(("site", "samples", "concepts"), Mapping),
}
_LOOK: dict[str, type] = {"step": int, "global": object, "concepts": Mapping}
_PAGE = "docs/drift.md"
_SHOWN = 8  # charts of concepts before the fold


@dataclass(frozen=True)
class Watched:
    """One concept along the training, beside all states."""

    name: str
    size: Any
    chart: Chart | None
    values: tuple[Any, ...]


def write_drift_page(data: Mapping[str, Any], path: str | Path) -> Path:
    """Draw what ``DriftCallback`` saw (docs/drift.md) as one page that loads nothing.

    Args:
        data: the content of ``drift.json``; it is embedded as it is.
        path: the HTML file; replaced in one step.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, drift_page(data))


def drift_page(data: Mapping[str, Any]) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    document = document_of(data, "drift", _PARTS, page=_PAGE)
    for number, look in enumerate(document["history"]):
        require(look, _LOOK, f"history[{number}]", page=_PAGE)
    concepts = _concepts(document)
    steps = [look["step"] for look in document["history"]]
    return draw(
        "drift.html.j2",
        document,
        styles=("diff.css", "trajectory.css"),
        findings=_findings(document, concepts),
        place=looked_at(document["site"]) if document["site"].get("tokens") else "chosen tokens",
        everything=_chart("All states", steps, {"moved": _everything(document)}),
        shown=concepts[:_SHOWN],
        folded=concepts[_SHOWN:],
    )


def _everything(document: Mapping[str, Any]) -> list[Any]:
    return [look["global"] for look in document["history"]]


def _concepts(document: Mapping[str, Any]) -> list[Watched]:
    """The one that drifted furthest in the end first."""
    history = document["history"]
    steps, whole = [look["step"] for look in history], _everything(document)
    found = [
        Watched(
            name,
            size,
            _chart(name, steps, {"concept": values, "moved": whole})
            if any(map(is_number, values))
            else None,
            tuple(values),
        )
        for name, size in document["concepts"].items()
        for values in [[look["concepts"].get(name) for look in history]]
    ]
    return sorted(found, key=lambda one: -_end(one.values))


def _end(values: Sequence[Any]) -> float:
    last = values[-1] if values else None
    return last if is_number(last) else float("-inf")


def _chart(title: str, steps: Sequence[float], curves: Mapping[str, Sequence[Any]]) -> Chart | None:
    short = title if len(title) <= 60 else f"{title[:59]}…"
    return chart(
        short, "drift, spreads", steps, curves, x_label="training step", at="step", level=(0.0, "")
    )


def _findings(document: Mapping[str, Any], concepts: Sequence[Watched]) -> list[Finding]:
    history = document["history"]
    if not history:
        return [Finding("How far did it drift?", "nobody looked yet", (), "plain")]
    last = history[-1]
    where = f"at step {last['step']}, in spreads of the base’s states within concepts"
    found = [
        Finding("How far did all states drift?", decimal(last["global"]), (where,), "plain"),
    ]
    known = [one for one in concepts if is_number(_end(one.values)) and one.values]
    if known:
        first = known[0]
        least = known[-1]
        line = f"least: {least.name}, {decimal(_end(least.values))}"
        said = f"{first.name}: {decimal(_end(first.values))}"
        found.append(Finding("Which concept drifted furthest?", said, (line,), "plain"))
    return found
