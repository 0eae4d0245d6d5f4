"""The page of a search: what was chosen, what held-out data say of it, and every cell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftlens.reporting import numbers
from shiftlens.reporting.fronts import cost_label, front_chart, worst
from shiftlens.reporting.images import Pictures
from shiftlens.reporting.intervals import measure_bars
from shiftlens.reporting.pages import Page, document_of, draw, write_page
from shiftlens.reporting.steering_views import ExampleView, example_view
from shiftlens.reporting.summary import Finding

_PARTS = {
    "about": Mapping,
    "budgets": list,
    "standings": Mapping,
    "chosen": int,
    "fronts": Mapping,
    "controls": list,
    "cells": list,
    "held_out": Mapping,
    "held_out_unsteered": Mapping,
    "winners_curse": Mapping,
    "examples": list,
}


def write_search_page(data: Mapping[str, Any], path: str | Path) -> Path:
    """Draw a search (docs/search.md) as one page that loads nothing.

    Args:
        data: ``Search.to_dict()``; it is embedded as it is.
        path: the HTML file; replaced in one step.

    Raises:
        DataError: another kind or schema, or a part that is missing.
        MachineError: the disk is full.
    """
    return write_page(path, search_page(data))


def search_page(data: Mapping[str, Any]) -> Page:
    """The same page before it is drawn; it raises the same errors."""
    return _page(document_of(data, "search", _PARTS, page="docs/search.md"))


def _page(document: Mapping[str, Any]) -> Page:
    heads = _heads(document)
    charts = [front_chart(document, cost, cost_label(cost)) for cost in document["fronts"]]
    return draw(
        "search.html.j2",
        document,
        styles=("fronts.css", "steering.css", "search.css"),
        examples=_examples(document),
        findings=_findings(document),
        charts=[one for one in charts if one is not None],
        edge=[document["cells"][at] for at in document["fronts"][document["against"]]],
        heads=heads,
        labels={head: cost_label(head) for head in heads},
        rows=_rows(document, heads),
        effects=measure_bars(_effects(document)),
        costs=[measure_bars(_costs(document, head)) for head in heads],
        settings=_settings(document["about"]),
    )


def _examples(document: Mapping[str, Any]) -> list[ExampleView]:
    """Held-out samples before and after, with their changed words."""
    said = ("unsteered", "steered")
    return [
        example_view({**one, "answers": [{"label": x, "text": one[x]} for x in said]}, Pictures())
        for one in document["examples"]
    ]


def _findings(document: Mapping[str, Any]) -> list[Finding]:
    mine, curse = document["held_out"]["effect"], document["winners_curse"]
    above = document["above_controls"]
    said = "above every random direction" if above else "not surely above random directions"
    fall = f"{numbers.signed(curse['estimate'])} {numbers.bounds(curse)}"
    return [
        Finding(
            "What was chosen?",
            document["cells"][document["chosen"]]["name"],
            (f"one of {len(document['cells'])} cells",),
            "plain",
        ),
        Finding(
            "Does it work on samples that did not choose it?",
            f"{numbers.decimal(mine['estimate'])} {numbers.bounds(mine)}",
            (f"{said} of equal length", f"winner’s curse: {fall}"),
            "good" if above else "mixed",
        ),
        _budgets(document["standings"], document.get("unbounded") or ()),
    ]


def _budgets(standings: Mapping[str, str], unbounded: Sequence[str]) -> Finding:
    """Whether budgets were kept on held-out samples, and what surely rose without one."""
    heading = "Did it keep the budgets?"
    free = tuple(f"no budget bounds {cost_label(one)}, which surely rose" for one in unbounded)
    if not standings:
        chosen = "the greatest effect was chosen, whatever it cost"
        tone = "mixed" if unbounded else "plain"
        return Finding(heading, "no budget was set", (chosen, *free), tone)
    lines = (*(f"{budget}: {said}" for budget, said in standings.items()), *free)
    if "broken" in standings.values():
        return Finding(heading, "no", lines, "mixed")
    if "undecided" in standings.values():
        return Finding(heading, "not decided by these data", lines, "plain")
    return Finding(heading, "yes", lines, "mixed" if unbounded else "good")


def _effects(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        ("chosen setting", document["held_out"]),
        ("unsteered", document["held_out_unsteered"]),
        *((random_direction(one["name"]), one) for one in document["controls"]),
    ]
    return [{"label": label, **one["effect"]} for label, one in rows if one["effect"]]


def random_direction(name: str) -> str:
    """A random direction by its number, in words; the figures call it ``random 0``."""
    return name.replace("random", "random direction", 1)


def _settings(about: Mapping[str, Any]) -> str:
    """The task in words: ``answers: source yes, target no``."""
    rest = {key: value for key, value in about["task"].items() if key != "name"}
    return f"{about['task']['name']}: " + ", ".join(f"{k} {v}" for k, v in rest.items())


def _costs(document: Mapping[str, Any], head: str) -> list[dict[str, Any]]:
    """Costs of one kind on the reporting half, with their budgets."""
    limits = dict(text.split(" <= ") for text in document["budgets"])
    found: list[dict[str, Any]] = []
    for name, one in document["held_out"]["costs"].items():
        if name.partition(":")[0] != head:
            continue
        limit = limits.get(name, limits.get(name.partition(":")[0]))
        goal = {} if limit is None else {"goal": f"<= {float(limit):f}", "holds": _held(one, limit)}
        found.append({"label": cost_label(name), **one, **goal})
    return found


def _held(cost: Mapping[str, Any], limit: str) -> bool | None:
    """As the card above says it: ``None`` where the interval holds the budget, and nobody knows."""
    if cost["low"] <= float(limit) < cost["high"]:
        return None
    return cost["high"] <= float(limit)


def _heads(document: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name.partition(":")[0] for name in document["held_out"]["costs"]))


def _rows(document: Mapping[str, Any], heads: list[str]) -> list[dict[str, Any]]:
    """Cells by effect, those that were asked everything first; what is shown of each."""
    best, edge = document["chosen"], set(document["fronts"][document["against"]])
    rows = [
        {
            **one,
            "worst": {head: worst(one, head) for head in heads},
            "mark": "chosen" if place == best else "on the front" if place in edge else "",
        }
        for place, one in enumerate(document["cells"])
    ]
    sign = 1.0 if document["held_out"]["lower_is_better"] else -1.0

    def order(row: Mapping[str, Any]) -> tuple[bool, float]:
        effect = row["effect"]
        return bool(row["dropped"]), sign * effect["estimate"] if effect else float("inf")

    return sorted(rows, key=order)
