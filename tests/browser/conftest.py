"""One browser for every test that looks at a page; a playground, and a visitor of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.visiting import visitor
from tests.unit.playground.builders import build_run
from tests.unit.playground.server import running

from shiftlens.models.model import Model


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The distribution's browser where there is one; otherwise the one that playwright installs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, _tiny: Model, tiny_path: Path) -> Iterator[str]:
    """The playground of a run that is made; files that look at another one have their own."""
    run = build_run(tmp_path_factory.mktemp("shown") / "run", _tiny)
    with running(run, "--model", str(tiny_path)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The playground before a visitor; files that look at another page have their own."""
    with visitor(browser, url) as page:
        yield page
