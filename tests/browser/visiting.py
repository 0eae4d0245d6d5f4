"""A visitor of the playground: opens it in a browser, chooses, asks, keeps what was set."""

import base64
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

# The framework warns of a gap in itself whenever an upload ends; it does nothing.
_ITS_OWN = "Method not implemented."


def visit(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str]]:
    """A visitor of their own, and what goes wrong: messages, and requests to anywhere else."""
    page = browser.new_context(**options).new_page()
    wrong: list[str] = []
    page.on("console", lambda told: None if told.text == _ITS_OWN else wrong.append(told.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    ours = (url, "data:", f"blob:{url}")
    page.on(
        "request", lambda asked: None if asked.url.startswith(ours) else wrong.append(asked.url)
    )
    page.goto(url)
    return page, wrong


@contextmanager
def visitor(browser: Browser, url: str) -> Generator[Page]:
    """The page of a visitor who may ask; in the end nothing may have gone wrong in it."""
    page, wrong = visit(browser, url)
    page.wait_for_selector("#ask")
    yield page
    assert wrong == [], "the page says something, or asks for something"
    page.context.close()


def answered(page: Page) -> None:
    """Ask, and wait for the whole answer."""
    page.evaluate("document.querySelectorAll('#receipt .figures').forEach(one => one.remove())")
    page.click("#ask")
    page.wait_for_selector("#receipt .figures")
    expect(page.locator("#steered .answer")).to_have_attribute("aria-busy", "false")


def choose(page: Page, what: str, value: str) -> None:
    """An entry of a list, looked for by some letters of it."""
    page.click(f"#{what} input")
    page.keyboard.press("Control+A")
    page.keyboard.type(value)
    page.get_by_role("option", name=value).first.click()
    expect(page.locator(f"#{what} input")).to_have_value(re.compile(value))


def set_strength(page: Page, value: float) -> None:
    """Of the direction."""
    page.fill("#strength input[type=number]", str(value))
    page.keyboard.press("Tab")


def upload(page: Page, path: Path) -> None:
    """A picture in place of the one that is there."""
    page.get_by_role("button", name="Remove Image").click()
    with page.expect_response(re.compile("/gradio_api/upload")):
        page.set_input_files("#picture input[type=file]", path)
    page.wait_for_timeout(600)


def archive(page: Page) -> bytes:
    """What the page offers to download."""
    href = page.get_attribute("#download a.save", "href") or ""
    return base64.b64decode(href.split(",", 1)[1])
