"""What verbs print of results fits eighty columns, whatever words and names stand in it."""

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tests.drawn import HOSTILE, small_concepts, small_search, small_trajectory

_LONG = ("long " * 60, "x" * 300, *HOSTILE)
_SAID = ("front", "numbers", "vector", "use", "curves", "scalars", "concepts", "next", "page")
"""Paths and commands: in one piece, however long, because they are copied."""


def _fits(text: str) -> list[str]:
    """Lines that are too wide."""
    return [
        line
        for line in text.splitlines()
        if cell_len(line) > 80 and not line.strip().startswith(_SAID)
    ]


@pytest.mark.parametrize("text", _LONG, ids=range(len(_LONG)))
def test_a_search(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shiftlens.cli.search_summary import print_search

    found = small_search(text)
    about = {**found.about, "n": {half: {"target": 60} for half in ("choosing", "reporting")}}
    object.__setattr__(found, "about", about)
    print_search(found, Path("runs/search"))
    said = capsys.readouterr().out
    assert _fits(said) == []
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "0.60 [0.52, 0.68]" in said, "the held-out effect stands in one line"


@pytest.mark.parametrize("text", _LONG, ids=range(len(_LONG)))
def test_a_trajectory(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shiftlens.cli.trajectory_page import print_trajectory

    found = small_trajectory(((text,), (text, text)))
    about = {"site": {"layer": 2}, "pictures": {"estimation": 10, "judging": 10}}
    object.__setattr__(found, "about", about)
    object.__setattr__(found, "margins", {**found.margins, "placebos": []})
    print_trajectory(found, Path("runs/t"))
    assert _fits(capsys.readouterr().out) == []


@pytest.mark.parametrize("text", _LONG, ids=range(len(_LONG)))
def test_learned_concepts(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shiftlens.cli.learn_page import _print_concepts

    held = small_concepts(((text, text), ("snow",), ("kitchen",)))
    object.__setattr__(held, "provenance", {"rows": 100})
    _print_concepts(held, {})
    assert _fits(capsys.readouterr().out) == []


@pytest.mark.parametrize("text", _LONG, ids=range(len(_LONG)))
def test_steerings_of_a_run(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from shiftlens.cli.steering_summary import print_steering

    value = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    arm: dict[str, Any] = {
        "trial": text, "label": text, "n": 10, "arm": text, "value": value, "change": value,
        "above_random": value, "test": {"p": 0.01},
    }  # fmt: skip
    figure = {**value, "label": text, "goal": "above 0.5", "holds": True}
    steering = {"s": {"title": text, "n": 10, "figures": [figure], "table": [arm, arm]}}
    print_steering(steering, tables=True)
    said = capsys.readouterr().out
    assert _fits(said) == []
    assert len([line for line in said.splitlines() if line.endswith("0.010")]) == 2
    assert len([line for line in said.splitlines() if "above 0.5" in line]) == 1
