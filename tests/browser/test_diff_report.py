"""The page of a diff in a real browser: nothing fails, nothing overflows, all can be read."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.test_report import _CONTRAST, _LONG, _open
from tests.unit.reporting.diff_builders import build_diff, without_margin

from shiftlens.reporting.html import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diff")
    data = build_diff(root)
    one = data["concepts"][-1]
    one["images_base"][0] = {"id": _LONG, "path": "nowhere.png"}
    one["contrastive_base"][0] = _LONG
    one["came"][0] = "</script><script>window.hacked = 1</script>"
    one["moved"]["why"] = _LONG
    data["models"]["tuned"]["name"] = f"models/{_LONG}"
    data["ranking"][1]["name"] = _LONG
    data["answers"]["examples"][0] |= {"prompt": _LONG, "base": _LONG, "tuned": f"a {_LONG}"}
    data["where"]["modules"]["by_kind"][0]["group"] = _LONG
    data["pair"]["base"] = f"/{_LONG}"
    return write_report(data, root / "report.html", image_root=root)


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


def test_hostile_text_is_not_run_and_the_document_can_be_read(page: Page) -> None:
    assert page.evaluate("typeof window.hacked") == "undefined"
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    assert data["margins"]["moved"] == 0.5


def test_the_chart_lies_on_its_axis(page: Page) -> None:
    """Margin, point and interval of a lane are where the ticks say that they are."""
    found = page.evaluate(
        """() => {
          const box = (e) => e.getBoundingClientRect();
          const forest = document.querySelector(".forest");
          const ticks = [...forest.querySelectorAll(".axis-ticks span")].map((e) => [
            Number(e.textContent.replace("−", "-")), box(e).left + box(e).width / 2]);
          const [first, last] = [ticks[0], ticks[ticks.length - 1]];
          const value = (x) => first[0] + (x - first[1]) / (last[1] - first[1])
            * (last[0] - first[0]);
          return [...forest.querySelectorAll(".lane-track")].map((lane) => ({
            point: value(box(lane.querySelector(".point")).left
              + box(lane.querySelector(".point")).width / 2),
            low: value(box(lane.querySelector(".reach")).left),
            margin: value(box(lane.querySelector(".nothing")).right),
          }));
        }"""
    )
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    order = sorted(data["concepts"], key=lambda one: -one["moved"]["low"])[:8]
    wanted = [one[name] for one in order for name in ("moved", "own")]
    assert len(found) == len(wanted)
    for seen, verdict in zip(found, wanted, strict=True):
        assert seen["point"] == pytest.approx(verdict["estimate"], abs=0.02)
        assert seen["low"] == pytest.approx(verdict["low"], abs=0.02)
        assert seen["margin"] == pytest.approx(verdict["margin"], abs=0.02)


def test_a_link_of_the_chart_opens_what_is_folded(browser: Browser, report: Path) -> None:
    page, said = _open(browser, report)
    page.evaluate("location.hash = '#concept-0'")
    page.wait_for_function("document.getElementById('concept-0').getClientRects().length > 0")
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


def test_a_diff_without_a_margin_can_be_read_too(browser: Browser, tmp_path: Path) -> None:
    data = without_margin(build_diff(tmp_path, k=3))
    path = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    page, said = _open(browser, path, color_scheme="dark")
    assert page.evaluate(_CONTRAST) == []
    assert page.locator(".nothing").count() == 0
    assert said == []
    page.context.close()
