"""Whatever words, names and answers hold, pages show it as text."""

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.playground.builders import HOSTILE

from shiftlens.core.errors import DataError
from shiftlens.playground import markup

_RIGHT_TO_LEFT = "\u202egnp.exe"


def _pieces(said: str) -> dict[str, str]:
    return {
        "text": markup.text(said),
        "chips": markup.chips([said], "base"),
        "tiles": markup.tiles([(said, None), (said, "data:image/webp;base64,AA")]),
        "notice": markup.notice(said, said),
        "refused": markup.refused(DataError(said, allowed=said, remedy=said)),
        "answer": markup.answer("Steered", said, going=True),
        "marked": markup.answer("Steered", said, other="nothing like it"),
    }


@pytest.mark.parametrize("name", _pieces("x"))
def test_markup_in_texts_stays_text(name: str) -> None:
    page = _pieces(HOSTILE)[name]
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;" in page


def test_twin_the_same_string_as_markup_would_be_found() -> None:
    assert "<script" in f"<p>{HOSTILE}</p>"


def test_long_and_turned_texts_leave_the_page_whole() -> None:
    assert len(markup.text("a" * 10_000)) < 600
    assert 'dir="auto"' in markup.text(_RIGHT_TO_LEFT)


def test_words_that_differ_are_marked_and_no_others() -> None:
    page = markup.answer("Steered", "a red dog.", other="A blue dog")
    assert page.count("<mark>") == 1
    assert "<mark>red</mark>" in page


def test_a_receipt_says_where_how_much_and_how_strongly() -> None:
    place = SimpleNamespace(first=0, last=6)
    one: dict[str, Any] = {
        **{"tokens": 7, "places": (place,), "layer": 5, "dose": 0.756, "cosine": -0.01},
        **{"summary": lambda: HOSTILE, "gate": {"gate": HOSTILE}, "gate_open": (False,)},
    }
    found = SimpleNamespace(vectors=(SimpleNamespace(**one),), conflicts=(HOSTILE,))
    page = markup.receipt(found)
    for said in (">7<", "0…6", ">5<", "0.76", "-0.01", ">closed<", "The gate stayed closed"):
        assert said in page
    assert "<script" not in page


def test_only_errors_of_the_library_are_shown() -> None:
    with pytest.raises(KeyError):
        markup.refused(KeyError("x"))
