"""What a visitor sees of an answer: in view at every width, still for whom it should be."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.visiting import answered, visit

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)

_IN_VIEW = """what => {
  const seen = document.querySelector(what).getBoundingClientRect();
  return seen.height > 0 && seen.top >= -1 && seen.top < innerHeight - 40;
}"""


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(1440, 900, 1), (720, 450, 2), (390, 800, 3), (360, 225, 4)],
    ids=["wide", "200 percent", "phone", "400 percent"],
)
def test_answers_are_in_view_wherever_one_was(
    browser: Browser, url: str, width: int, height: int, scale: int
) -> None:
    page, wrong = visit(
        browser, url, viewport={"width": width, "height": height}, device_scale_factor=scale,
        reduced_motion="reduce",
    )  # fmt: skip
    page.wait_for_selector("#ask")
    for _ in range(2):
        lines = page.locator("#list li").count()
        page.click("#add")
        expect(page.locator("#list li")).to_have_count(lines + 1)
    page.click("#open button")
    page.locator("#setting_file").scroll_into_view_if_needed()
    assert page.evaluate(_IN_VIEW, "#ask"), "whoever is down there can ask"
    answered(page)
    page.wait_for_timeout(300)
    assert page.evaluate(_IN_VIEW, "#unsteered")
    page.click("#keep button")
    expect(page.locator("#download a")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    page.context.close()


def test_nothing_moves_for_whom_it_should_not(browser: Browser, url: str) -> None:
    for wanted, name in (("reduce", "none"), ("no-preference", "sl-blink")):
        page, _ = visit(browser, url, reduced_motion=wanted)
        page.wait_for_selector("#ask")
        page.evaluate("""() => document.querySelector('#unsteered .answer').insertAdjacentHTML(
            'beforeend', '<span class="cursor"></span>')""")
        style = "getComputedStyle(document.querySelector('.cursor')).animationName"
        assert page.evaluate(style) == name
        page.context.close()


def test_a_prompt_that_is_too_long_is_not_cut_off_unseen(page: Page) -> None:
    page.fill("#prompt textarea", "a" * 10_000)
    page.click("#ask")
    expect(page.locator("#receipt .bad")).to_contain_text("The prompt has 10,000 characters")
    assert len(page.input_value("#prompt textarea")) == 10_000


def test_prompts_of_any_script_are_asked_and_kept(page: Page) -> None:
    prompt = "\u202e\u0645\u0631\u062d\u0628\u0627 \U0001f600 <img src=x onerror=window.hacked=1>"
    page.fill("#prompt textarea", prompt)
    answered(page)
    page.click("#keep button")
    expect(page.locator("#python")).to_contain_text("\\u202e")
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_an_upload_that_is_too_large_is_said(browser: Browser, url: str, tmp_path: Path) -> None:
    page, _ = visit(browser, url)  # the framework asks in vain how far the upload is
    page.wait_for_selector("#ask")
    (tmp_path / "big.png").write_bytes(b"0" * 11 * 1024**2)
    page.get_by_role("button", name="Remove Image").click()
    page.set_input_files("#picture input[type=file]", tmp_path / "big.png")
    expect(page.get_by_text("exceed the maximum allowed size of 10").first).to_be_visible()
    answered(page)
    page.context.close()


def test_that_nothing_changed_is_said(page: Page) -> None:
    page.fill("#strength input[type=number]", "0.05")
    page.keyboard.press("Tab")
    page.click("#look button")
    page.click("#options button")
    page.fill("#tokens input[type=number]", "1")
    page.keyboard.press("Tab")
    answered(page)
    same = page.inner_text("#unsteered .said") == page.inner_text("#steered .said")
    assert ("Both answers are the same" in page.inner_text("#receipt")) == same
