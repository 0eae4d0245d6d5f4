"""The report in a real browser: nothing fails, nothing overflows, everything can be read."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.unit.reporting.builders import build_report

from shiftlens.reporting.html import write_report

pytestmark = pytest.mark.browser

_LONG = "Donaudampfschifffahrtsgesellschaftskapitänskajütenschlüsselanhänger" * 3

# Contrast of every visible text with the first opaque background behind it, as WCAG counts it.
_CONTRAST = """() => {
  // Mixed colours are told as color(srgb 0.8 0.5 0.4), others as rgb(204, 128, 102).
  const parse = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number)
    .map((v, i) => c.startsWith("color(") && i < 3 ? 255 * v : v);
  const light = (c) => {
    const bend = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const [r, g, b] = c.map((v) => bend(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (node) => {
    for (let e = node; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || e.closest("script, style, title, .unseen, .skip")) continue;
    if (!e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const ink = parse(e.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push([text.slice(0, 40), Math.round(100 * ratio) / 100]);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    data = build_report(root)
    change = data["toi"]["person"]["changes"][0]
    change["images_base"][0] = {"id": _LONG, "path": "nowhere.png"}
    change["contrastive_tuned"][0] = _LONG
    change["words_base"][0] = "</script><script>window.hacked = 1</script>"
    data["models"]["tuned"]["name"] = f"models/{_LONG}"
    data["steering"]["style"]["examples"][0]["prompt"] = _LONG
    data["steering"]["style"]["receipt"] = [_LONG]
    return write_report(data, root / "report.html", image_root=root)


def _open(browser: Browser, report: Path, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_context(**options).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda request: (
            said.append(request.url) if not request.url.startswith(("file:", "data:")) else None
        ),
    )
    page.goto(report.as_uri())
    return page, said


@pytest.fixture(params=[(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    width, scheme = request.param
    size: dict[str, Any] = {"width": width, "height": 900}
    page, said = _open(browser, report, viewport=size, color_scheme=scheme)
    yield page
    assert said == [], "the page says something, or asks for something"
    page.context.close()


def test_nothing_overflows(page: Page) -> None:
    for unfolded in (False, True):
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        width = page.viewport_size["width"] if page.viewport_size else 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_text_can_be_read(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(_CONTRAST) == []
    # The twin that must fail: grey on grey is found.
    page.evaluate("document.querySelector('h1').style.cssText = 'color:#777;background:#888'")
    assert [text for text, _ in page.evaluate(_CONTRAST)] == ["What learning places did to people"]


def test_pictures_are_shown_and_hostile_text_is_not_run(page: Page) -> None:
    assert page.evaluate("typeof window.hacked") == "undefined"
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg.tile')].filter(t => t.getClientRects().length)"
        ".map(t => t.getBoundingClientRect()).map(r => [r.width, r.height])"
    )
    assert len(sizes) > 70
    assert min(min(size) for size in sizes) > 30
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert data["toi"]["person"]["recovery"]["concept_minus_global"]["estimate"] == 0.2


def test_it_is_dark_when_asked(browser: Browser, report: Path) -> None:
    page, _ = _open(browser, report, color_scheme="dark")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in re.findall(r"\d+", colour)[:3]) < 60
    page.context.close()


def test_everything_that_opens_is_reached_by_the_keyboard(browser: Browser, report: Path) -> None:
    page, _ = _open(browser, report)
    reached: list[str] = []
    for _press in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the results"
    assert "Limits and method" in reached
    assert "All words of concept 0" in reached
    page.keyboard.press("Shift+Tab")
    page.focus("summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    page.context.close()


def test_printing_opens_the_folded_concepts(browser: Browser, report: Path) -> None:
    page, said = _open(browser, report)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details.more')].every(d => d.open)")
    assert page.pdf().startswith(b"%PDF")
    assert said == []
    page.context.close()


def test_headings_go_down_one_step_at_a_time(browser: Browser, report: Path) -> None:
    page, _ = _open(browser, report)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5')].map(h => Number(h.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    page.context.close()
