"""The documentation site in a real browser, opened from the disk, without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.test_report import _CONTRAST
from tests.site_building import built_site

pytestmark = pytest.mark.browser

_PAGES = ("index", "tutorials/diff-a-fine-tune", "reference/states", "reference/cli", "comparison")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_site(tmp_path_factory.mktemp("built") / "site")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Asking anything of another machine fails the test, and so does a script that fails."""
    page, wrong = browser.new_page(), list[str]()
    page.on("request", lambda one: None if _here(one.url) else wrong.append(one.url))
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert wrong == []


def _here(url: str) -> bool:
    return url.startswith(("file:", "data:"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("name", _PAGES)
def test_a_page_fits_and_can_be_read(
    site: Path, page: Page, name: str, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(_CONTRAST) == []


@pytest.mark.parametrize(("word", "found"), [("placebo", True), ("xylophonist", False)])
def test_the_search_works_from_the_disk(site: Path, page: Page, word: str, found: bool) -> None:
    page.goto((site / "index.html").as_uri())
    page.fill("input[name=q]", word)
    page.press("input[name=q]", "Enter")
    page.wait_for_selector("#search-results .search-summary")
    page.wait_for_timeout(1000)
    hits = page.locator("#search-results li a").all_inner_texts()
    assert any("Placebos" in hit for hit in hits) is found
    excerpts = page.locator("#search-results li p.context").all_inner_texts()
    assert any("placebo" in one.lower() for one in excerpts) is found


def test_a_phone_s_menu_opens_and_leads_on(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((site / "index.html").as_uri())
    page.locator("label.nav-overlay-icon").first.click()
    page.locator(".sidebar-tree a", has_text="Find concepts").click()
    assert page.url.endswith("tutorials/find-concepts.html")


def test_the_switch_between_light_and_dark_works(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto((site / "index.html").as_uri())
    seen = set[str]()
    for _ in range(3):
        page.locator("button.theme-toggle").locator("visible=true").first.click()
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2
