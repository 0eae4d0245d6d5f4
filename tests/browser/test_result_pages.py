"""Pages of single results in a real browser: hostile texts, missing pictures, phones, the dark."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.accessibility import findings, unfold
from tests.unit.reporting.builders import build_report
from tests.unit.reporting.evaluation_builders import build_discovery, build_evaluation
from tests.unit.reporting.search_builders import build_search
from tests.unit.reporting.trajectory_builders import build_drift, build_trajectory

from shiftlens.reporting.documents import write_document

pytestmark = pytest.mark.browser

_RUN = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
_HOSTILE = f"{_RUN}\u202eevil\u2067 \U0001f469\u200d\U0001f692 " + "w" * 10_000
_WORDS = f"{_RUN}\u202e" + "many words " * 900

_BESIDE = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolls = (e) => e && e.closest('.scroll, nav, .long, svg, .unseen, .skip');
  return [...document.querySelectorAll('main *, header *')]
    .filter(e => e.getClientRects().length && !scrolls(e))
    .filter(e => e.getBoundingClientRect().right > wide + 1)
    .map(e => e.className + ': ' + e.textContent.slice(0, 40));
}"""


def _steering(root: Path) -> dict[str, Any]:
    """A run whose every answer, prompt and name was written by somebody hostile."""
    data = build_report(root)
    data["toi"] = {}
    one = data["steering"]["yes-to-no"]
    answer, after = _HOSTILE, {_HOSTILE: 3, _WORDS: 2}
    one["meant"] = [{"before": answer, "after": _WORDS}]
    table = {"transitions": {_HOSTILE: {answer: after, "no": {"no": 4}}}}
    one["changes"] = {_HOSTILE: {"steered": table, "random direction": table}}
    one["examples"][0] |= {"prompt": _WORDS, "image": "nowhere.png", "id": _HOSTILE}
    one["examples"][0]["answers"] = [
        {"label": _HOSTILE[:200], "text": _HOSTILE},
        {"label": "steered", "text": _WORDS},
        {"label": "silent", "text": ""},
    ]
    one["figures"][0]["label"] = _HOSTILE
    one["receipt"] = [_HOSTILE]
    for other in ("title", "question", "method"):
        one[other] = _WORDS[:400]
    return data


def _evaluation(_: Path) -> dict[str, Any]:
    data = json.loads(json.dumps(build_evaluation("nowhere.png").to_dict()))
    data["examples"]["yesno"][0]["prompt"] = _HOSTILE
    data["examples"]["yesno"][0]["answers"] = {"unsteered": _HOSTILE, "steered": _WORDS}
    data["about"]["notes"] = [_HOSTILE[:300]]
    data["receipts"]["yesno"]["steered"]["summary"] = _HOSTILE
    return data


def _discovery(_: Path) -> dict[str, Any]:
    data = json.loads(json.dumps(build_discovery().to_dict()))
    data["directions"][0]["result"]["primary"][0]["answer"] = _HOSTILE[:2000]
    data["directions"][1]["result"]["lost"] = [_WORDS[:2000], 4]
    return data


def _trajectory(_: Path) -> dict[str, Any]:
    return build_trajectory(steps=12, words=_HOSTILE).to_dict()


def _drift(_: Path) -> dict[str, Any]:
    return build_drift(word=_HOSTILE)


def _search(_: Path) -> dict[str, Any]:
    data = build_search()
    data["examples"] = [{"id": "a", "prompt": _HOSTILE, "unsteered": _WORDS, "steered": _HOSTILE}]
    return data


_MADE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "steering": _steering,
    "evaluation": _evaluation,
    "discovery": _discovery,
    "trajectory": _trajectory,
    "drift": _drift,
    "search": _search,
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pages")
    return {
        name: write_document(make(root), root / f"{name}.html", image_root=root)
        for name, make in _MADE.items()
    }


_VIEWS = ((1440, "light"), (390, "dark"))


@pytest.fixture(params=[(name, view) for name in _MADE for view in _VIEWS], ids=str)
def page(
    request: pytest.FixtureRequest, browser: Browser, pages: dict[str, Path]
) -> Iterator[Page]:
    name, (width, scheme) = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request",
        lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None,
    )
    page.goto(pages[name].as_uri())
    yield page
    outside = [one for one in said if not one.startswith("data:")]
    assert outside == [], "the page says something, or asks for something"
    context.close()


def test_hostile_text_is_text_and_the_layout_holds(page: Page) -> None:
    width = page.viewport_size["width"] if page.viewport_size else 0
    for unfolded in (False, True):
        if unfolded:
            unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_BESIDE) == []
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
    # The twin that must fail: what is wider than the screen is found.
    page.evaluate("document.querySelector('h1').style.width = '3000px'")
    assert page.evaluate("document.documentElement.scrollWidth") > width


def test_axe_finds_nothing_serious(page: Page) -> None:
    unfold(page)
    assert findings(page) == []


def test_a_long_answer_scrolls_in_its_box_and_by_keyboard(
    browser: Browser, pages: dict[str, Path]
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 900})
    page = context.new_page()
    page.goto(pages["steering"].as_uri())
    boxes = page.evaluate(
        "[...document.querySelectorAll('.long')].map(e => [e.clientHeight, e.scrollHeight])"
    )
    assert boxes
    assert all(shown < 300 < whole for shown, whole in boxes)
    page.focus(".long")
    page.keyboard.press("PageDown")
    page.wait_for_function("document.querySelector('.long').scrollTop > 0")
    context.close()
