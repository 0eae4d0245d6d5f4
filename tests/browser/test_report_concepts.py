"""Concepts of a run's report in a real browser: sorted, filtered, pointed at, printed, attacked."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pypdf import PdfReader
from tests.unit.reporting.builders import build_report
from tests.unit.reporting.test_concepts_page import spoil

from shiftlens.reporting.html import write_report

pytestmark = pytest.mark.browser

_NASTY = {
    "html": "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>",
    "rtl": "\u202e\u05e9\u05dc\u05d5\u05dd\u200f\u202d",
    "emoji": "\U0001f469\u200d\U0001f680" * 40,
    "long": "x" * 10_000,
}
_SHOWN = "[...document.querySelectorAll('.concept')].filter(c => c.getClientRects().length)"
_NUMBERS = f"{_SHOWN}.map(c => Number(c.dataset.index))"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    return write_report(build_report(root), root / "report.html", image_root=root)


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    page, said = _open(browser, report, viewport={"width": 1440, "height": 900})
    yield page
    assert said == [], "the page says something, or asks for something"
    page.context.close()


def _open(browser: Browser, report: Path, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**options).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri())
    return page, said


def _until(page: Page, said: str) -> None:
    """Wait until an expression is true; the page's own policy forbids the browser's way to."""
    for _ in range(100):
        if page.evaluate(said):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {said}")


def _changes(page: Page) -> list[dict[str, Any]]:
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    return data["toi"]["person"]["changes"]


@pytest.mark.parametrize(
    ("key", "rising"),
    [
        *(("magnitude", False), ("consistency", False), ("share", False)),
        *(("overlap", True), ("index", True)),
    ],
)
def test_concepts_are_sorted_by_the_documents_numbers(page: Page, key: str, rising: bool) -> None:
    page.select_option(".sort-by", "index" if key == "share" else "share")
    page.select_option(".sort-by", key)
    wanted = sorted(_changes(page), key=lambda c: c[key] if rising else -c[key])
    assert page.evaluate(_NUMBERS) == [one["index"] for one in wanted]


def test_concepts_are_filtered_and_their_number_is_announced(page: Page) -> None:
    assert page.inner_text(".found") == "12 of 12 concepts shown"
    assert page.get_attribute(".found", "aria-live") == "polite"
    page.select_option(".by-verdict", "stable")
    assert page.evaluate(_NUMBERS) == [1]
    assert page.inner_text(".found") == "1 of 12 concepts shown"
    page.select_option(".by-verdict", "")
    page.fill(".by-word", " SNOW ")
    fits = [
        one["index"]
        for one in _changes(page)
        if any("snow" in word for name in one if "words" in name for word in one[name])
        or any("snow" in word for word in one["contrastive_tuned"])
    ]
    assert sorted(page.evaluate(_NUMBERS)) == fits
    page.fill(".by-word", "no such word")
    assert page.inner_text(".found") == "0 of 12 concepts shown"
    # A link to what is filtered out brings it back.
    page.evaluate("location.hash = '#toi-0-concept-5'")
    _until(page, "document.querySelector('.found').textContent.startsWith('12')")


def test_everything_works_from_the_keyboard(page: Page) -> None:
    page.focus(".sort-by")
    page.keyboard.press("m")
    assert page.evaluate("document.querySelector('.sort-by').value") == "magnitude"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "by-verdict"
    page.keyboard.press("Tab")
    page.keyboard.type("snow")
    assert page.inner_text(".found") != "12 of 12 concepts shown"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelectorAll('.show-heat').length") == 1
    page.focus(".flow-wide .node.from")
    lit = page.evaluate("document.querySelectorAll('.flow-wide .band-of.is-lit').length")
    assert 0 < lit <= 12
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash").startswith("#toi-0-concept-")


def test_a_heat_map_shows_on_hover_and_on_focus(page: Page) -> None:
    def wait_for(opacity: int) -> None:
        _until(page, f"getComputedStyle(document.querySelector('.shade')).opacity === '{opacity}'")

    wait_for(0)
    page.locator(".has-heat").first.hover()
    wait_for(1)
    page.mouse.move(0, 0)
    wait_for(0)
    page.focus(".tiles[tabindex]")
    wait_for(1)


def test_pointing_at_a_band_lights_both_of_its_ends(page: Page) -> None:
    band = page.locator(".flow-wide .band-of.strong").last
    band.dispatch_event("mouseover")
    lit = page.evaluate(
        "[...document.querySelectorAll('.flow-wide .is-lit')].map(e => e.getAttribute('class'))"
    )
    assert sum("node" in one for one in lit) == 2
    assert sum("band-of" in one for one in lit) == 1


def test_without_the_script_all_of_it_is_there(browser: Browser, report: Path) -> None:
    page, _ = _open(browser, report, java_script_enabled=False)
    assert page.locator(".tools").first.is_hidden()
    assert page.locator(".concept").count() == 12
    assert page.locator(".flow-wide").first.is_visible()
    page.locator("details.more > summary").first.click()
    assert page.locator(".concept").last.is_visible()
    page.context.close()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_the_print_holds_what_is_folded_and_filtered(
    browser: Browser, report: Path, script: bool
) -> None:
    page, _ = _open(browser, report, java_script_enabled=script)
    if script:
        page.fill(".by-word", "no such word")
    whole = PdfReader(io.BytesIO(page.pdf(format="A4")))
    assert len(whole.pages) > 3
    text = " ".join(" ".join(one.extract_text() for one in whole.pages).split())
    for index in range(12):
        assert f"All words of concept {index}" in text
    for part in (
        "Base concept with its shift added",
        "Tuned concepts: where their samples come from",
        "Khayatan et al.",
        "f" * 12,
    ):
        assert part in text, part
    assert "Sort by" not in text
    page.context.close()


@pytest.mark.parametrize("name", _NASTY)
def test_nasty_text_neither_runs_nor_breaks_the_page(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    data = build_report(tmp_path, k=4)
    spoil(data, _NASTY[name])
    path = write_report(data, tmp_path / "report.html", image_root=tmp_path)
    for width in (390, 1440):
        page, said = _open(browser, path, viewport={"width": width, "height": 900})
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("typeof window.hacked") == "undefined"
        page.fill(".by-word", _NASTY[name][:200])
        assert page.inner_text(".found").endswith("of 4 concepts shown")
        assert said == []
        page.context.close()


def test_an_empty_comparison_is_a_page(browser: Browser, tmp_path: Path) -> None:
    data = {**build_report(tmp_path, k=2), "toi": {}, "steering": {}}
    page, said = _open(browser, write_report(data, tmp_path / "report.html"))
    assert "Nothing was compared" in page.inner_text("header")
    assert said == []
    page.context.close()
