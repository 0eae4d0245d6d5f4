"""What figures are made of: colours, letters, labels; and what is said where matplotlib lacks."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.drawn import HOSTILE

from shiftlens.core.drawing import palette
from shiftlens.core.drawing.labels import Named, beside
from shiftlens.core.drawing.letters import listed, shown
from shiftlens.core.drawing.paper import paper

_CSS = Path(__file__).parents[3] / "src/shiftlens/reporting/templates/style.css"


@pytest.mark.parametrize("name", ["ink", "soft", "line", "base", "tuned", "control", "good", "bad"])
def test_the_colours_are_the_report_s(name: str) -> None:
    light = _CSS.read_text(encoding="utf-8").split("@media")[0]
    found = re.search(rf"--{name}: (#[0-9a-f]{{6}})", light)
    assert found is not None
    assert getattr(palette, name.upper()) == found[1]


def test_a_colour_on_the_way_is_cut_to_its_ends() -> None:
    assert palette.between("#000000", "#ffffff", 0.5) == "#808080"
    assert palette.between("#000000", "#ffffff", -1.0) == "#000000"
    assert palette.between("#000000", "#ffffff", 2.0) == "#ffffff"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_a_short_line(text: str) -> None:
    line = shown(text, 30)
    assert 0 < len(line) <= 30
    assert line.isprintable()


def test_lists_end_at_a_whole_word() -> None:
    assert listed(["beach", "sand", "surfer"], 12) == "beach, sand"
    assert listed([]) == "–"


def test_names_never_cover_each_other() -> None:
    _, (axes,) = paper("t", 4, 3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    dots = [Named(0.5, 0.5 + 0.001 * i, 4.0, f"name {i}") for i in range(9)]
    written = beside(axes, dots)
    assert 1 <= len(written) < 9, "nine names on one spot have no room"
    apart = [Named(0.2, 0.1 + 0.2 * i, 4.0, f"name {i}") for i in range(4)]
    _, (wide,) = paper("t", 4, 4)
    wide.set_xlim(0, 1)
    wide.set_ylim(0, 1)
    assert len(beside(wide, apart)) == 4


def test_without_matplotlib_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["matplotlib"] = None
from shiftlens.core.errors import ShiftLensError
try:
    import shiftlens.core.drawing.paper
except ShiftLensError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ("figures need the package matplotlib\n  pip install 'shiftlens[plots]'\n")


def test_somebody_s_settings_change_nothing_that_is_written() -> None:
    import matplotlib

    def looks() -> list[Any]:
        figure, (axes,) = paper("t", 4, 3)
        title: Any = figure._suptitle
        return [figure.get_facecolor(), axes.get_facecolor(), title.get_color(), title.get_size()]

    plain = looks()
    theirs = {"figure.facecolor": "black", "axes.facecolor": "black", "text.color": "red"}
    with matplotlib.rc_context({**theirs, "font.size": 30}):
        assert looks() == plain
