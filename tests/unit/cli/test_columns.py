"""Tables fit eighty columns whatever stands in them; nothing printed steers the terminal."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from tests.drawn import HOSTILE

from shiftlens.cli.columns import fitted, padded
from shiftlens.cli.plain_text import Harmless, harmless, plain

_NAMES = (*HOSTILE, "\x1b[2J\x1b[31mred", "漢" * 200, "[bold]no markup[/bold]", "\u2028line")


def _lines(columns: list[str], rows: list[tuple[str, ...]], room: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=room).print(fitted(columns, rows, room))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("last", _NAMES[:3], ids=range(3))
@pytest.mark.parametrize("first", _NAMES, ids=range(len(_NAMES)))
def test_a_row_is_a_line_and_no_line_is_too_wide(first: str, last: str) -> None:
    rows = [(escape(first), "0.20 [0.19, 0.22]", "12", escape(last)), ("short", "0.1", "1", "x")]
    lines = _lines(["name", "estimate", "n", "words"], rows)
    assert len(lines) == 3
    assert max(map(cell_len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert "0.20 [0.19, 0.22]" in lines[1], "numbers are cut last"


def test_what_is_cut_says_so() -> None:
    (_, line) = _lines(["name", "n"], [("x" * 200, "12")])
    assert line.startswith("xxx")
    assert line.endswith("…  12")
    assert len(line) == 80


def test_what_fits_is_left_alone() -> None:
    assert _lines(["name", "n"], [("a", "12")]) == ["name   n", "a     12"]


def test_a_heading_goes_on_in_a_second_line_before_a_cell_is_cut() -> None:
    columns = ["fine-tune and word", "variance explained elsewhere", "of random samples", "n"]
    lines = _lines(columns, [("p" * 20, "0.5", "0.4", "1")], room=52)
    assert len(lines) > 2
    assert lines[-1].startswith("p" * 20)
    assert max(map(len, lines)) <= 52


def test_two_long_columns_share_what_there_is() -> None:
    (_, line) = _lines(["a", "b"], [("x" * 100, "y" * 100)])
    assert line.count("x") >= 35
    assert line.count("y") >= 35


@pytest.mark.parametrize("text", _NAMES, ids=range(len(_NAMES)))
@pytest.mark.parametrize("right", [True, False])
def test_a_padded_text_is_as_wide_as_its_column(text: str, right: bool) -> None:
    assert cell_len(padded(text, 20, right=right)) == 20
    assert padded("x" * 30, 20).endswith("x…")


def test_markup_of_ours_is_kept() -> None:
    out = io.StringIO()
    screen = Console(file=out, width=80, force_terminal=True, color_system="standard")
    screen.print(fitted(["a"], [("[red]x[/red]",)], 80))
    assert "\x1b[31mx" in out.getvalue()


def test_a_very_narrow_screen_is_not_exceeded_by_much() -> None:
    lines = _lines(["a", "b", "c"], [("x" * 30, "y" * 30, "z" * 30)], room=20)
    assert max(map(cell_len, lines)) <= 20


@pytest.mark.parametrize("text", _NAMES, ids=range(len(_NAMES)))
def test_text_is_one_line_that_steers_nothing(text: str) -> None:
    line = plain(text)
    assert len(line.splitlines()) <= 1
    assert not any(letter in line for letter in "\x1b\u202e\x00\u2028")


def test_letters_and_emoji_are_kept() -> None:
    for text in ("naïve café", "漢字", "👩\u200d🔬", "می\u200cخواهم"):
        assert plain(text) == harmless(text) == text


def test_what_a_console_prints_is_harmless_and_colours_stay() -> None:
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, color_system="standard", width=80)
    screen.push_render_hook(Harmless())
    screen.print("\x1b]0;title\x07 two\nlines", style="red", markup=False)
    assert out.getvalue().startswith("\x1b[31m")
    assert "\x1b]" not in out.getvalue()
    assert "\x07" not in out.getvalue()
    assert " two" in out.getvalue().splitlines()[0]
