"""The page of a search: it loads nothing, says what the document says, and places it truly."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.search_builders import build_search

from shiftlens.core.errors import DataError
from shiftlens.reporting.fronts import front_chart
from shiftlens.reporting.search_page import cost_label, write_search_page


@pytest.fixture
def document() -> dict[str, Any]:
    return build_search()


def test_the_page_says_what_the_document_says_and_loads_nothing(
    document: dict[str, Any], tmp_path: Path
) -> None:
    page = write_search_page(document, tmp_path / "front.html").read_text(encoding="utf-8")
    assert "0.88" in page
    assert "layer 1 &lt;b&gt;" in page
    assert "layer 1 <b>" not in page
    assert "not decided by these data" in page
    assert "breaks loss &lt;= 0.02" in page
    assert "budget 0.02" in page
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]+", page)
    assert "default-src 'none'" in page
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    assert json.loads(found[1]) == document


def test_cells_lie_where_their_numbers_say(document: dict[str, Any]) -> None:
    chart = front_chart(document, "loss", "loss")
    assert chart is not None
    assert [dot.kind for dot in chart.dots] == [
        "dropped",
        "control",
        "front",
        "chosen",
        "held-out",
    ]
    dots = {dot.kind: dot for dot in chart.dots}
    assert dots["dropped"].x > dots["held-out"].x > dots["chosen"].x > dots["front"].x
    assert dots["dropped"].y < dots["chosen"].y < dots["held-out"].y < dots["front"].y
    assert chart.limit is not None
    assert dots["held-out"].x < chart.limit < dots["dropped"].x
    low, high = dots["held-out"].along
    assert high < dots["held-out"].y < low
    assert [dots[kind].number for kind in ("front", "chosen")] == ["1", "2"]
    for dot in chart.dots:
        assert chart.frame.left <= dot.x <= chart.frame.right
        assert chart.frame.top <= dot.y <= chart.frame.bottom
    gaps = [b.at - a.at for a, b in zip(chart.x_ticks, chart.x_ticks[1:], strict=False)]
    assert min(gaps) >= 30


def test_a_dose_has_no_interval_and_no_budget(document: dict[str, Any]) -> None:
    chart = front_chart(document, "dose", "dose")
    assert chart is not None
    assert chart.limit is None
    assert all(dot.across == () for dot in chart.dots)
    assert chart.x_label == "dose"
    assert chart.step, "it has a front of its own"
    assert all(dot.number == "" for dot in chart.dots), "which is not the one that is listed"


def test_nothing_to_draw_is_no_chart(document: dict[str, Any]) -> None:
    assert front_chart(document, "fluency", "fluency") is None


def test_costs_have_names_for_people() -> None:
    assert cost_label("loss:number") == "accuracy lost off target (number)"
    assert cost_label("over_refusal:benign") == "over refusal (benign)"


@pytest.mark.parametrize("broken", [False, True])
def test_no_budget_and_broken_ones_are_said(
    document: dict[str, Any], tmp_path: Path, broken: bool
) -> None:
    document["budgets"] = ["loss <= 0.02"] if broken else []
    document["standings"] = {"loss <= 0.02": "broken"} if broken else {}
    document["above_controls"] = False
    page = write_search_page(document, tmp_path / "front.html").read_text(encoding="utf-8")
    assert ("no budget was set" in page) is not broken
    assert "not surely above random directions" in page
    if broken:
        assert "loss &lt;= 0.02: broken" in page


def test_a_cost_that_rose_without_a_budget_is_said(
    document: dict[str, Any], tmp_path: Path
) -> None:
    document["unbounded"] = ["refusals_kept"]
    page = write_search_page(document, tmp_path / "front.html").read_text(encoding="utf-8")
    assert "no budget bounds refusals lost, which surely rose" in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "diff"}, "a 'diff' of schema 1 is no search"),
        ({"schema": 2}, "of schema 2 is no search"),
        ({"cells": None}, "cells"),
    ],
)
def test_another_document_is_refused(
    document: dict[str, Any], change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        write_search_page({**document, **change}, tmp_path / "front.html")


@pytest.mark.parametrize(
    ("high", "said", "never"),
    [
        (0.5, "interval crosses the goal", "✓ reached"),
        (0.0, "✓ reached", "crosses the goal</span>"),
    ],
)
def test_a_budget_that_is_not_decided_is_not_called_reached(
    document: dict[str, Any], tmp_path: Path, high: float, said: str, never: str
) -> None:
    name = next(iter(document["held_out"]["costs"]))
    document["budgets"], document["standings"] = [f"{name} <= 0.02"], {}
    document["held_out"]["costs"][name] = {"estimate": 0.0, "low": -0.1, "high": high}
    page = write_search_page(document, tmp_path / "front.html").read_text(encoding="utf-8")
    assert said in page
    assert never not in page
