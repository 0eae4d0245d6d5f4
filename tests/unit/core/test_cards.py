"""What notebooks show: escaped, small, without script or request, legible on light and on dark."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.drawn import (
    HOSTILE,
    SITE,
    small_concepts,
    small_search,
    small_shift,
    small_trajectory,
)

import shiftlens as sl
from shiftlens.core.cards import Share, card
from shiftlens.core.intervals import Interval
from shiftlens.steering.evaluating.evaluation import Evaluation
from shiftlens.steering.evaluating.lines import Line


class _Read(HTMLParser):
    """Elements, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Read:
    found = _Read()
    found.feed(html)
    found.close()
    assert found.open == []
    return found


def _evaluation(text: str = "beach") -> Evaluation:
    value, change = Interval(0.5, 0.4, 0.6), Interval(0.1, 0.0, 0.2)
    lines = [
        Line(f"{text}{i}", "trial", "m", text, "effect", True, 10, value, change) for i in (0, 1)
    ]
    return Evaluation(tuple(lines), about={"notes": [text]})


def _vector(name: str = "beach") -> sl.SteeringVector:
    return sl.SteeringVector(torch.ones(4), SITE, name, "mean difference", 4.0)


def _nouns(text: str = "beach") -> dict[str, Any]:
    words = ((text, "sand"), ("snow", "ice"), ("kitchen",))
    return {
        "Concepts": small_concepts(words),
        "ConceptShift": small_shift(words),
        "SteeringVector": _vector(text),
        "Search": small_search(text),
        "Trajectory": small_trajectory(words),
        "Evaluation": _evaluation(text),
    }


@pytest.mark.parametrize("noun", _nouns())
def test_every_noun_has_a_card_and_a_short_line(noun: str) -> None:
    one = _nouns()[noun]
    html, line = one._repr_html_(), repr(one)
    assert _read(html).text.startswith(noun)
    assert "beach" in html or noun == "Search"
    assert line.startswith(f"{noun}(")
    assert len(line) < 160
    assert len(html) < 20_000


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("noun", _nouns())
def test_whatever_stands_in_it_is_text(noun: str, text: str) -> None:
    one = _nouns(text)[noun]
    html = one._repr_html_()
    found = _read(html)
    assert set(found.tags) <= {"div", "b", "bdi", "table", "tr", "td", "th", "span"}
    assert found.attributes <= {"style"}
    assert not re.search(r"url\(|https?:|@import|src=\"", html.replace("src=x", ""))
    assert "\u202e" not in html
    assert "\x00" not in html
    assert len(html) < 20_000
    assert len(repr(one)) < 400


@pytest.mark.parametrize("noun", _nouns())
def test_it_has_no_colour_but_the_page_s_own(noun: str) -> None:
    html = _nouns()[noun]._repr_html_()
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b", html)
    colours = set(re.findall(r"(?:^|[;\"])(?:color|background):([^;\"]+)", html))
    assert colours <= {"inherit", "none", "currentColor"}


def test_numbers_are_those_of_the_result() -> None:
    shift = small_shift()
    text = _read(shift._repr_html_()).text
    assert "0.90 (centred cosine)" in text
    assert "above: +0.20 [0.10, 0.30]" in text
    assert "not surely above: +0.01 [-0.10, 0.10]" in text
    assert "50 %" in _read(small_concepts()._repr_html_()).text
    assert "0.60 [0.52, 0.68] held out" in _read(small_search()._repr_html_()).text


def test_long_tables_are_cut_and_it_says_so() -> None:
    html = card("A", "b", {}, columns=("x",), rows=[(str(i),) for i in range(20)])
    assert "and 12 more" in _read(html).text


def test_a_bar_of_a_strange_share_stays_in_its_box() -> None:
    for value in (-1.0, 7.0, float("nan")):
        html = card("A", "b", {}, columns=("x",), rows=[(Share(value),)])
        widths = [int(one) for one in re.findall(r"width:(\d+)%", html)]
        assert all(0 <= one <= 100 for one in widths)


def test_a_store_and_a_model_have_cards_too(tiny: Any, questions: Any, tmp_path: Path) -> None:
    from shiftlens.data.sample import Samples

    store = sl.harvest(tiny, Samples(questions), sl.Site(2), tmp_path / "s", max_new_tokens=3)
    for one in (store, tiny):
        found = _read(one._repr_html_())
        assert found.text.startswith(type(one).__name__)
        assert found.attributes <= {"style"}
    assert "after block 2, at " in _read(store._repr_html_()).text
    assert "4 of width" in _read(tiny._repr_html_()).text
