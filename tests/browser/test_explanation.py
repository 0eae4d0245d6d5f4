"""The page of an explanation in a real browser: maps appear when a word is pointed at or tapped."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.test_report import _CONTRAST, _LONG, _open
from tests.unit.reporting.explaining_builders import activity, build_explanation, said

from shiftlens.reporting.explaining_page import write_explanation_page

pytestmark = pytest.mark.browser

_SHOWN = "getComputedStyle(document.querySelector('.over.heat-1')).visibility"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explanation")
    return write_explanation_page(build_explanation(root), root / "explanation.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long words everywhere, and text that would like to be markup."""
    root = tmp_path_factory.mktemp("hostile")
    data = build_explanation(root)
    data["words"] += [said(_LONG, 20, activity(0)), said("كلب", 400, activity(1))]
    data["model"] = f"models/{_LONG}"
    data["prompt"] = data["response"] = _LONG
    data["notes"] = [_LONG]
    data["concepts"][0]["contrastive"] = [_LONG, "</style><script>window.hacked = 1</script>"]
    data["concepts"][1]["images"] += [{"id": _LONG, "path": "nowhere.png"}]
    data["site"]["tokens"]["words"] = [_LONG, "b"]
    return write_explanation_page(data, root / "explanation.html")


@pytest.fixture(params=[(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, hostile: Path) -> Iterator[Page]:
    width, scheme = request.param
    size: dict[str, Any] = {"width": width, "height": 900}
    page, said = _open(browser, hostile, viewport=size, color_scheme=scheme)
    yield page
    assert said == [], "the page says something, or asks for something"
    page.context.close()


def test_nothing_overflows_and_all_can_be_read(page: Page) -> None:
    for unfolded in (False, True):
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        width = page.viewport_size["width"] if page.viewport_size else 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_CONTRAST) == []
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_a_map_is_shown_while_its_word_is_pointed_at(browser: Browser, path: Path) -> None:
    page, said = _open(browser, path)
    assert page.evaluate(_SHOWN) == "hidden"
    page.hover(".gloss.of-1 .said")
    assert page.evaluate(_SHOWN) == "visible"
    page.hover("h1")
    assert page.evaluate(_SHOWN) == "hidden"
    page.focus(".gloss.of-1 a")
    assert page.evaluate(_SHOWN) == "visible"
    assert said == []
    page.context.close()


def test_a_tap_on_a_word_shows_its_map_and_keeps_it(browser: Browser, path: Path) -> None:
    page, said = _open(
        browser, path, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page.tap(".gloss.of-1 .said")
    assert page.is_checked("#show-1")
    page.tap("#answer-title")
    assert page.evaluate(_SHOWN) == "visible"
    page.tap("label:has(#show-none)")
    page.tap("#answer-title")
    assert page.evaluate(_SHOWN) == "hidden"
    assert said == []
    page.context.close()


def test_maps_are_chosen_by_keyboard(browser: Browser, path: Path) -> None:
    page, _ = _open(browser, path)
    page.focus("#show-none")
    page.keyboard.press("ArrowDown")
    assert page.is_checked("#show-1")
    assert page.evaluate(_SHOWN) == "visible"
    page.context.close()


def test_a_link_opens_the_concept_that_is_folded(browser: Browser, path: Path) -> None:
    page, said = _open(browser, path)
    page.evaluate("location.hash = '#concept-0'")
    page.wait_for_function("document.getElementById('concept-0').getClientRects().length > 0")
    assert said == []
    page.context.close()


def test_headings_go_down_one_step_at_a_time(browser: Browser, path: Path) -> None:
    page, _ = _open(browser, path)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    page.context.close()
