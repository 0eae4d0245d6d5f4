"""The page of a choice of k: what every k explains, whether it comes back, and which was chosen."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftlens.reporting import numbers
from shiftlens.reporting.curves import Chart, Tick, chart, readable
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.summary import Finding

_PARTS = {"tried": list, "reason": str, "rule": str, "learner": Mapping, "rows": Mapping}
_SAMPLES = "random"
_CURED = ("standard", "white")  # spaces that hear every dimension

# Every chart: its title, its axis, and its curves: which line is drawn, its name, and the key.
_CHARTS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "What concepts explain of the other half",
        "share of variance",
        (
            ("concept", "learned", "reconstruction"),
            ("samples", _SAMPLES, "random_reconstruction"),
        ),
    ),
    (
        "Do the same concepts come back?",
        "cosine of matched concepts",
        (
            ("concept", "halves", "halves"),
            ("global", "seeds", "seeds"),
            ("samples", _SAMPLES, "random_halves"),
        ),
    ),
    (
        "Do the same states fall together?",
        "adjusted mutual information",
        (("concept", "halves", "halves_agreement"), ("global", "seeds", "seeds_agreement")),
    ),
    (
        "Words that two concepts share",
        "share of words",
        (("concept", "learned", "overlap"), ("samples", _SAMPLES, "random_overlap")),
    ),
)


def write_choice_page(data: Mapping[str, Any], path: str | Path) -> Path:
    """Draw a choice of k as one page that loads nothing.

    Args:
        data: ``Choice.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.

    Returns:
        the path of the page.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, choice_page(data))


def choice_page(data: Mapping[str, Any]) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    return _page(document_of(data, "choice", _PARTS, page="docs/learn.md"))


def choice_charts(document: Mapping[str, Any]) -> list[Chart]:
    """One chart a question, over k on a scale where doubling is one step."""
    ks = [one["k"] for one in document["tried"]]
    found = [_chart(document["tried"], ks, *parts) for parts in _CHARTS]
    return [one for one in found if one is not None]


def _chart(
    tried: Sequence[Mapping[str, Any]],
    ks: Sequence[int],
    title: str,
    axis: str,
    curves: Sequence[tuple[str, str, str]],
) -> Chart | None:
    places = [math.log2(k) for k in ks]
    bands = {
        line: [_ends(one[key]) for one in tried] for line, _, key in curves if line == "concept"
    }
    drawn = chart(
        title,
        axis,
        places,
        {line: [_middle(one[key]) for one in tried] for line, _, key in curves},
        x_label="k, number of concepts",
        bands=bands,
    )
    return None if drawn is None else _named(drawn, tried, ks, curves)


def _named(
    drawn: Chart,
    tried: Sequence[Mapping[str, Any]],
    ks: Sequence[int],
    curves: Sequence[tuple[str, str, str]],
) -> Chart:
    """The chart with its own names and with k, not its logarithm, in every text."""
    names = {line: (name, key) for line, name, key in curves}
    lines = []
    for line in drawn.lines:
        name, key = names[line.style]
        known = [(k, _middle(one[key])) for k, one in zip(ks, tried, strict=True)]
        said = [f"{name} at k {k}: {numbers.decimal(v)}" for k, v in known if numbers.is_number(v)]
        points = tuple(
            replace(point, text=text) for point, text in zip(line.points, said, strict=True)
        )
        lines.append(replace(line, name=name, points=points))
    told = "; ".join(point.text for line in lines for point in line.points)
    ticks = tuple(Tick(tick.at, str(k)) for tick, k in zip(drawn.x_ticks, ks, strict=True))
    return replace(
        drawn, lines=tuple(lines), x_ticks=readable(ticks), description=f"{drawn.title} {told}."
    )


def _middle(value: Any) -> float | None:
    if isinstance(value, Mapping):
        return value.get("estimate", value.get("mean"))
    return value


def _ends(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, Mapping):
        return None, None
    return value.get("low", value.get("lowest")), value.get("high", value.get("highest"))


def _page(document: Mapping[str, Any]) -> Page:
    learner = dict(document["learner"])
    name = str(learner.pop("name", "learner"))
    return draw(
        "choice.html.j2",
        document,
        styles=("choice.css",),
        findings=_findings(document),
        charts=choice_charts(document),
        name=name,
        options=", ".join(f"{key} {value}" for key, value in learner.items()),
        spoken=any(numbers.is_number(one["overlap"]) for one in document["tried"]),
        agreed=any(one["halves_agreement"] for one in document["tried"]),
        converging=any(one["converged"] is not None for one in document["tried"]),
        standing=_standing(document),
    )


def _findings(document: Mapping[str, Any]) -> list[Finding]:
    return [*_choice(document), *_dominant(document)]


def _dominant(document: Mapping[str, Any]) -> list[Finding]:
    """A warning where a few dimensions decide: in so few any partition comes back."""
    dims = document.get("dominant_dimensions")
    if not dims or document["learner"].get("space") in _CURED:
        return []
    share = numbers.percent(document["dominant_share"])
    named = ", ".join(map(str, dims[:5])) + (", …" if len(dims) > 5 else "")
    line = f"space standard or white hears the others; dimensions: {named}"
    return [Finding("Do all dimensions count?", f"no: few carry {share} of it", (line,), "mixed")]


def _choice(document: Mapping[str, Any]) -> list[Finding]:
    chosen = document["chosen"]
    if chosen is None:
        return [Finding("How many concepts?", "undecided", (document["reason"],), "mixed")]
    one = next(one for one in document["tried"] if one["k"] == chosen)
    explained, halves = one["reconstruction"], one["halves"]
    return [
        Finding("How many concepts?", str(chosen), (document["reason"],), "plain"),
        Finding(
            "Do they describe pictures they were not learned from?",
            f"{numbers.percent(explained['estimate'])} of the variance",
            (
                f"between {numbers.percent(explained['low'])} and "
                f"{numbers.percent(explained['high'])}",
            ),
            "good",
        ),
        Finding(
            "Do they come back on other pictures?",
            f"matched cosine {numbers.decimal(halves['mean'])}",
            (
                f"random samples match at {numbers.decimal(one['random_halves']['mean'])}; "
                f"{numbers.percent(one['stability'])} of the way from there to 1",
            ),
            "good",
        ),
    ]


def _standing(document: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], str]:
    def said(one: Mapping[str, Any]) -> str:
        if one["k"] == document["chosen"]:
            return "chosen"
        if not one["stable"]:
            return "unstable"
        return "stable" if one["explains"] else "explains nothing"

    return said
