"""Pages that are written to a disk, before axe and by keyboard: reports, and the documentation."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.accessibility import SCHEMES, WIDTHS, findings, unfold, walked
from tests.site_building import built_site
from tests.unit.reporting.builders import build_report
from tests.unit.reporting.combined_builders import build_results
from tests.unit.reporting.diff_builders import build_diff
from tests.unit.reporting.explaining_builders import build_explanation
from tests.unit.reporting.search_builders import build_search

from shiftlens.reporting.combined import draw_files
from shiftlens.reporting.explaining_page import write_explanation_page
from shiftlens.reporting.html import write_report
from shiftlens.reporting.search_page import write_search_page

pytestmark = pytest.mark.browser

_REPORTS: dict[str, Callable[[Path], Path]] = {
    "run": lambda root: write_report(build_report(root), root / "r.html", image_root=root),
    "diff": lambda root: write_report(build_diff(root), root / "r.html", image_root=root),
    "explanation": lambda root: write_explanation_page(build_explanation(root), root / "r.html"),
    "search": lambda root: write_search_page(build_search(), root / "r.html"),
    "several": lambda root: draw_files(build_results(root, base="me/other"), root / "r.html"),
}
_SITE = ("index", "tutorials/steer", "reference/steering", "reference/cli")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of all pages by name."""
    root = tmp_path_factory.mktemp("pages")
    site = built_site(root / "site")
    shown = {name: make(root / name).as_uri() for name, make in _made(root)}
    found = f"{(site / 'search.html').as_uri()}?q=placebo"
    return {
        **shown,
        **{name: (site / f"{name}.html").as_uri() for name in _SITE},
        "search results": found,
    }


def _made(root: Path) -> Iterator[tuple[str, Callable[[Path], Path]]]:
    for name, make in _REPORTS.items():
        (root / name).mkdir()
        yield name, make


@pytest.fixture
def opened(browser: Browser, pages: dict[str, str]) -> Iterator[Callable[..., Page]]:
    contexts: list[Any] = []

    def opening(name: str, width: int = 1440, scheme: str = "light") -> Page:
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        )
        page = contexts[-1].new_page()
        page.goto(pages[name])
        return page

    yield opening
    for one in contexts:
        one.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", [*_REPORTS, *_SITE, "search results"])
def test_axe_finds_nothing_serious(
    opened: Callable[..., Page], name: str, width: int, scheme: str
) -> None:
    page = opened(name, width, scheme)
    unfold(page)
    assert findings(page) == []


def test_twin_what_is_wrong_is_found(opened: Callable[..., Page]) -> None:
    page = opened("run")
    page.evaluate("document.body.append(new Image(), document.createElement('button'))")
    found = " ".join(findings(page))
    assert "image-alt" in found
    assert "button-name" in found


@pytest.mark.parametrize("name", [*_REPORTS, *_SITE])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_keyboard_s_way_begins_with_a_skip_link_and_can_be_seen(
    opened: Callable[..., Page], name: str, scheme: str
) -> None:
    page = opened(name, 1440, scheme)
    seen = walked(page, 25)
    assert seen[0]["tag"] == "a"
    assert "kip to" in seen[0]["name"]
    assert len(seen) > 5
    assert [one for one in seen if not one["ring"]] == []
    assert [one for one in seen if not one["shown"]] == []


@pytest.mark.parametrize("name", [*_REPORTS, *_SITE])
def test_the_skip_link_leads_past_the_menu(opened: Callable[..., Page], name: str) -> None:
    page = opened(name)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    before = page.evaluate("location.hash")
    assert page.locator(before).count() == 1
    page.keyboard.press("Tab")
    inside = f"document.querySelector({before!r}).contains(document.activeElement)"
    assert page.evaluate(inside), "the next step is inside what was skipped to"
