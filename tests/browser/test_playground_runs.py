"""Folders that ``learn``, ``search``, ``discover`` and ``diff`` leave, opened in a real browser."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.accessibility import findings
from tests.browser.test_report import _CONTRAST
from tests.browser.visiting import answered, choose, visit
from tests.unit.playground.server import START, running

# The first test makes all folders: two minutes of an idle machine.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200)]
expect.set_options(timeout=60_000)

_VERBS = (
    "harvest world:base world:people -n 40 --layers=-2 --words person,man,woman -o states",
    "learn states --k 3 --model world:base -o learned/concepts",
    "search world:base world:yesno --source yes --target no --layers 4 --strengths 1,2 -n 40 "
    "--controls 1 -o searched",
    "discover world:base world:other --layer 4 --k 3 -n 24 --controls 1 -o discovered",
    "diff world:base world:places world:captions --margin 0.5 --words person -n 240 --draws 20 "
    "--k 2 --max-new-tokens 24 -o diffed",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory above several, each made by its verb; two of them damaged, two not ended."""
    root = tmp_path_factory.mktemp("runs")
    for line in _VERBS:
        command = [sys.executable, "-c", START, *line.split(), "--quiet"]
        subprocess.run(command, cwd=root, check=True, timeout=500, capture_output=True)
    shutil.copytree(root / "learned", root / "torn")
    _cut(root / "torn" / "concepts" / "concepts.safetensors", 1000)
    shutil.copytree(root / "searched", root / "torn-search")
    _cut(root / "torn-search" / "search.json", 300)
    _cut(root / "torn-search" / "steering.json", 100)
    shutil.copytree(root / "diffed", root / "begun")
    (root / "begun" / "diff.json").unlink()
    for one in (root / "begun").glob("shift.*"):
        one.unlink()
    (root / "nothing").mkdir()
    return root


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.fixture(scope="module")
def url(runs: Path) -> Iterator[str]:
    with running(runs) as url:  # the model is that of the runs
        yield url


def _tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.wait_for_timeout(500)


def test_the_model_is_the_one_that_the_runs_name(page: Page) -> None:
    expect(page.locator("header")).to_contain_text("model world:base")


def test_what_a_search_found_opens_as_it_was_kept(page: Page) -> None:
    page.click("#open button")
    choose(page, "kept", "searched/steering")
    page.click("#open_kept")
    expect(page.locator("#list li")).to_have_count(1)
    expect(page.locator("#list li")).to_contain_text("yes to no")
    expect(page.locator("#opened")).to_contain_text("on held-out samples")
    page.fill("#prompt textarea", "Is there a cat?")
    answered(page)
    assert "yes to no" in page.inner_text("#receipt")


def test_two_of_one_name_are_told_apart(page: Page) -> None:
    strip = page.get_by_role("toolbar", name="Directions by picture")
    names = strip.get_by_role("button").all_inner_texts()
    assert len(names) == len(set(names))
    assert "yes to no (searched)" in names


def test_what_a_discovery_ranked_steers(page: Page) -> None:
    strip = page.get_by_role("toolbar", name="Directions by picture")
    strip.get_by_role("button").filter(has_text="->").first.click()
    expect(page.locator("#about")).to_contain_text("between concepts, discovered/discovery")
    answered(page)
    assert page.locator("#receipt .figures").count() == 1


@pytest.mark.parametrize("name", ["learned/concepts/concepts", "discovered/concepts"])
def test_concepts_are_shown_with_words_and_pictures(page: Page, name: str) -> None:
    _tab(page, "Concepts")
    choose(page, "set", name)
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator(".card .tiles img").first).to_be_visible()
    assert page.locator(".card .chip").count() > 6
    assert page.locator(".gone").count() == 0


def test_a_diff_shows_what_became_of_each_concept_and_leads_to_steering(page: Page) -> None:
    _tab(page, "Concepts")
    choose(page, "set", "diffed/shift")
    expect(page.locator(".card")).to_have_count(2)
    assert page.locator(".chip.came").count() > 0
    page.locator(".card").first.get_by_role("button").click()
    expect(page.locator("#direction input")).to_have_value(re.compile("fine-tuning"))
    answered(page)


def test_what_is_damaged_or_not_ended_is_one_sentence_and_the_others_go_on(page: Page) -> None:
    _tab(page, "This run")
    bad = page.locator(".notice.bad li").all_inner_texts()
    assert [one.split()[0] for one in bad] == [
        "torn/concepts/concepts.json",
        "torn-search/search.json",
        "torn-search/steering.json",
    ]
    unfinished = page.locator(".notice.note li").all_inner_texts()
    assert unfinished == ["begun shiftlens diff has begun here and not ended; the same command "
                          "goes on with it"]  # fmt: skip
    assert "/tmp" not in " ".join(bad)
    expect(page.get_by_role("region", name="Files of the run")).to_contain_text("searched/best")


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_can_be_read(browser: Browser, url: str, width: int, scheme: Any) -> None:
    page, wrong = visit(browser, url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_selector("#ask")
    for tab in ("Steer", "Concepts", "This run"):
        _tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert page.evaluate(_CONTRAST) == [], tab
        assert findings(page) == [], tab
    assert wrong == []
    page.context.close()


def test_a_run_of_learn_alone_is_shown_and_not_steered_with(browser: Browser, runs: Path) -> None:
    with running(runs / "learned") as url:
        page, wrong = visit(browser, url)
        page.wait_for_selector(".notice")
        expect(page.locator(".notice").first).to_contain_text("No model is loaded")
        _tab(page, "Concepts")
        expect(page.locator(".card")).to_have_count(3)
        assert wrong == []
        page.context.close()
