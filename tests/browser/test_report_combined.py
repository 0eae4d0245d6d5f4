"""Several results in one file in a real browser: each part works, and looks as it does alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.unit.reporting.combined_builders import build_results

from shiftlens.reporting.combined import draw_files
from shiftlens.reporting.documents import draw_file

pytestmark = pytest.mark.browser

_LOOK = """(root) => Object.fromEntries(
  [".concept", ".matrix td", ".finding", "h3", ".bars li", "details > summary", ".keys", "caption",
   "h4", ".fronts figure", ".flow svg", "table th", ".charts figure", ".judged td", ".word",
   ".tile"]
    .map((one) => [one, document.querySelector(`${root} ${one}`)]).filter(([, found]) => found)
    .map(([name, found]) => {
      const style = getComputedStyle(found);
      return [name, ["color", "backgroundColor", "padding", "margin", "fontSize", "fontWeight",
        "display", "border", "textAlign", "maxWidth"].map((key) => style[key])];
    }))"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("combined")
    return build_results(root) + build_results(root / "other", base="me/other")[:1]


@pytest.fixture
def page(browser: Browser, places: list[Path]) -> Iterator[Page]:
    opened = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    file = draw_files(places, places[0].parent / "all.html")
    opened.goto(file.as_uri())
    yield opened
    assert said == [], "the page says something, or asks for something"
    opened.context.close()


def test_filters_and_links_act_on_their_own_part(page: Page) -> None:
    first, last = (page.locator(f"#part-{one}") for one in (1, 6))
    before = last.locator(".concept:visible").count()
    first.locator(".by-word").fill("no such word")
    assert first.locator(".concept:visible").count() == 0
    assert last.locator(".concept:visible").count() == before > 0
    last.get_by_role("link", name="Recovery").click()
    assert page.evaluate("location.hash").startswith("#part-6-")
    target = "document.querySelector('#part-6 [id$=-recovery]').getBoundingClientRect().top"
    top = -1.0
    for _ in range(60):  # pages glide to where a link leads
        page.wait_for_timeout(50)
        top = page.evaluate(target)
        if 0 <= top < 900:
            break
    assert 0 <= top < 900


def test_each_part_looks_as_it_does_alone(browser: Browser, page: Page, places: list[Path]) -> None:
    for number, place in enumerate(places, start=1):
        alone: Any = browser.new_page(viewport={"width": 1440, "height": 900})
        alone.goto(draw_file(place, place / "alone.html").as_uri())
        found, own = page.evaluate(_LOOK, f"#part-{number}"), alone.evaluate(_LOOK, "body")
        assert len(own) > 4
        assert found == own, place.name
        alone.close()


def test_a_phone_scrolls_one_way(browser: Browser, page: Page) -> None:
    narrow = browser.new_page(viewport={"width": 390, "height": 800})
    narrow.goto(page.url)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    narrow.close()
