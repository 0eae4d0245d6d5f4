"""The playground in a real browser: steering, uploads, hostile names, two visitors at once."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.browser.accessibility import findings, walked
from tests.browser.test_report import _CONTRAST
from tests.browser.visiting import answered, archive, choose, set_strength, upload, visit
from tests.unit.playground.builders import HOSTILE, build_run
from tests.unit.playground.server import running

from shiftlens.models.model import Model

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)  # the model answers on a machine that others may share

# Names of everything that can be reached: by label, text, title or alternative text.
_NAMELESS = """() => [...document.querySelectorAll('input, textarea, select, button, img, a')]
  .filter(e => e.getClientRects().length && e.type !== 'hidden' && e.type !== 'file')
  .filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.title
    || e.getAttribute('aria-labelledby') || e.textContent.trim() || e.getAttribute('alt') != null))
  .map(e => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, _tiny: Model) -> Path:
    return build_run(tmp_path_factory.mktemp("hostile") / "<b>run", _tiny)


@pytest.fixture(scope="module")
def url(run: Path, tiny_path: Path) -> Iterator[str]:
    with running(run, "--model", str(tiny_path)) as url:
        yield url


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows_and_all_can_be_read(
    browser: Browser, url: str, width: int, scheme: Any
) -> None:
    page, wrong = visit(browser, url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_selector("#ask")
    answered(page)
    for tab in ("Steer", "Concepts", "This run"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert page.evaluate(_CONTRAST) == [], tab
        assert page.evaluate(_NAMELESS) == [], tab
        assert findings(page) == [], tab
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert wrong == []
    page.context.close()


def test_both_answers_come_with_the_receipt(page: Page) -> None:
    choose(page, "direction", "louder")
    set_strength(page, 4)
    answered(page)
    before, after = (page.inner_text(f"#{side} .said") for side in ("unsteered", "steered"))
    assert before
    assert before != after
    assert "strength 4" in page.inner_text("#receipt")
    assert "After block\n3" in page.inner_text("#receipt .figures")


def test_a_direction_at_several_layers_has_a_slider_and_others_have_none(page: Page) -> None:
    choose(page, "direction", "louder")
    expect(page.locator("#layer")).to_be_visible()
    page.fill("#layer input[type=number]", "1")
    page.keyboard.press("Tab")
    answered(page)
    assert "After block\n1" in page.inner_text("#receipt .figures")
    choose(page, "direction", "“cat”")
    expect(page.locator("#layer")).to_be_hidden()


def test_directions_and_pictures_are_chosen_by_keyboard(page: Page) -> None:
    strip = page.get_by_role("toolbar", name="Directions by picture")
    strip.get_by_role("button").filter(has_text="“bus”").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#direction input")).to_have_value(re.compile("“bus”"))
    pressed = strip.locator("button[aria-pressed=true]")
    expect(pressed).to_contain_text("“bus”")
    pictures = page.get_by_role("toolbar", name="Pictures of this run").get_by_role("button")
    pictures.nth(3).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(pictures.nth(4)).to_have_attribute("aria-pressed", "true")
    answered(page)
    assert "picture-4.png" in _saved(page)["setting.json"]


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(page: Page) -> None:
    seen = walked(page, 24)
    assert seen[0]["name"] == "Skip to content"
    names = [one["name"] for one in seen]
    wanted = ["Steer", "Concepts", "Answer", "Stop"]
    assert sorted(names.index(one) for one in wanted) == [names.index(one) for one in wanted]
    assert [one for one in seen if not one["ring"]] == []


def _options(page: Page, **choices: str) -> None:
    page.get_by_role("button", name="How, where, when").click()
    for what, value in choices.items():
        choose(page, what, value)


def test_what_is_done_with_a_direction_where_and_when_is_chosen(page: Page, tmp_path: Path) -> None:
    choose(page, "direction", "louder")
    expect(page.locator("#target")).to_be_hidden()
    _options(page, operator="move to", scope="prompt and answer", gate="the prompt holds")
    page.fill("#target input", "-1.5")
    page.fill("#gate_words input, #gate_words textarea", "what")
    page.keyboard.press("Tab")
    answered(page)
    said = page.inner_text("#receipt")
    assert "move-to" in said
    assert "positions: all" in said
    assert "Gate\nopen" in said
    shown = [page.inner_text(f"#{side} .said") for side in ("unsteered", "steered")]
    files = _saved(page)
    (told,) = json.loads(files["setting.json"])["lines"]
    assert (told["operator"], told["scope"], told["gate"]) == (
        "move-to:-1.5",
        "all",
        "prompt:what",
    )
    assert _printed(page, tmp_path)[:2] == shown, "what is kept says what the page said"


def test_an_affine_edit_is_applied_and_a_probe_can_keep_it_out(page: Page, tmp_path: Path) -> None:
    choose(page, "direction", "two out")
    expect(page.locator("#about")).to_contain_text("its own map")
    answered(page)
    before, after = (page.inner_text(f"#{side} .said") for side in ("unsteered", "steered"))
    assert before != after
    _options(page, gate="a probe of this run")
    choose(page, "probe", "gates/closed")
    answered(page)
    assert "The gate stayed closed" in page.inner_text("#receipt")
    assert page.inner_text("#steered .said") == before
    _saved(page)
    assert _printed(page, tmp_path)[:2] == [before, before]


def test_a_choice_that_is_not_finished_is_one_sentence(page: Page) -> None:
    _options(page, gate="is about to be said")
    page.click("#ask")
    expect(page.locator("#receipt .bad")).to_contain_text("The gate has no words")


def test_a_run_that_changes_is_said(page: Page, run: Path) -> None:
    (run / "later.json").write_text("{}")
    try:
        page.get_by_role("tab", name="Concepts").click()
        expect(page.locator("#changed")).to_contain_text("has changed since it was read")
    finally:
        (run / "later.json").unlink()


def test_a_card_of_a_shift_leads_to_steering_with_it(page: Page) -> None:
    page.get_by_role("tab", name="Concepts").click()
    page.locator(".card").filter(has_text="Concept 1").get_by_role("button").click()
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#direction input")).to_have_value(re.compile("“cat”"))


def test_an_uploaded_picture_is_asked_about_and_kept(page: Page, tmp_path: Path) -> None:
    name = f"{HOSTILE[:30]}.png".replace("/", "")
    Image.new("RGB", (50, 40), (200, 10, 10)).save(tmp_path / name)
    upload(page, tmp_path / name)
    answered(page)
    files = _saved(page)
    assert json.loads(files["setting.json"])["picture"] is None
    assert "picture.png" in files["steer.py"]
    assert page.locator("#python").inner_text().count("the picture that you chose") == 1


def test_an_answer_can_be_stopped_and_asked_again(page: Page) -> None:
    page.get_by_role("button", name="How, where, when").click()
    page.fill("#tokens input[type=number]", "256")
    page.keyboard.press("Tab")
    choose(page, "direction", "louder")
    set_strength(page, 4)  # so steered it goes on and on
    page.click("#ask")
    page.wait_for_selector("#steered .cursor")
    page.click("#stop")
    expect(page.locator("#receipt")).to_contain_text("Stopped.")
    expect(page.locator(".cursor")).to_have_count(0)
    page.wait_for_timeout(1000)  # the framework hears no press until it has taken the event back
    answered(page)


def test_what_is_no_picture_is_one_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    upload(page, tmp_path / "torn.png")
    page.click("#ask")
    expect(page.locator("#receipt .bad")).to_contain_text("his picture is")
    said = page.inner_text("#receipt")
    assert "Traceback" not in said
    assert "/tmp" not in said


def test_too_many_pixels_are_refused_before_they_are_decoded(page: Page, tmp_path: Path) -> None:
    Image.new("1", (6000, 6000)).save(tmp_path / "wide.png")
    upload(page, tmp_path / "wide.png")
    page.click("#ask")
    expect(page.locator("#receipt .bad")).to_contain_text("too large")


def test_nothing_asked_is_said(page: Page) -> None:
    page.fill("#prompt textarea", "  ")
    page.click("#ask")
    expect(page.locator("#receipt .bad")).to_contain_text("Nothing is asked")


def test_a_word_is_looked_into(page: Page) -> None:
    answered(page)
    page.click("#look button")
    page.click("#explain")
    page.wait_for_selector("#explained .explained", timeout=60_000)
    assert page.locator("#explained .heat.chosen").count() == 1
    assert page.locator("#explained .pair img").count() == 2


def test_two_visitors_at_once_do_not_steer_each_other(url: str) -> None:
    first, second = _visits(url, [4.0], rounds=1), _visits(url, [-4.0], rounds=1)
    alone = {**first, **second}
    assert alone[4.0][0][1] != alone[-4.0][0][1]
    together = _visits(url, [4.0, -4.0], rounds=5)
    assert together == {strength: answers * 5 for strength, answers in alone.items()}


def _visits(
    url: str, strengths: list[float], *, rounds: int
) -> dict[float, list[tuple[str, str, str]]]:
    """Visitors at once, each in a thread and a browser of their own: what each of them saw."""
    together, seen = threading.Barrier(len(strengths)), dict[float, Any]()

    def visit(strength: float) -> None:
        seen[strength] = _visit(url, strength, rounds, together)

    visitors = [threading.Thread(target=visit, args=(one,)) for one in strengths]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join(200)
    return seen


def _visit(
    url: str, strength: float, rounds: int, together: threading.Barrier
) -> list[tuple[str, str, str]]:
    """Ask in a browser of its own: both answers and the receipt, as often as wanted."""
    found: list[tuple[str, str, str]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page, _ = visit(browser, url)
        page.wait_for_selector("#ask")
        choose(page, "direction", "louder")
        set_strength(page, strength)
        together.wait(60)
        for _ in range(rounds):
            answered(page)
            parts = ("#unsteered .said", "#steered .said", "#receipt .soft")
            found.append(tuple(page.inner_text(part) for part in parts))  # type: ignore[arg-type]
        browser.close()
    return found


@pytest.mark.parametrize("path", ["/etc/passwd", "http://127.0.0.1:9/x.png"])
def test_requests_cannot_name_files_or_addresses(page: Page, path: str) -> None:
    asked = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}], "fn_index": 0}
    status = page.request.post(f"{page.url}gradio_api/queue/join", data=asked).status
    assert status == 403
    assert page.request.get(f"{page.url}gradio_api/file=/etc/passwd").status == 403


def test_an_upload_that_is_a_page_is_not_run(page: Page, browser: Browser) -> None:
    content = b"<script>window.hacked = 1</script>"
    files = {"files": {"name": "page.html", "mimeType": "text/html", "buffer": content}}
    (path,) = page.request.post(f"{page.url}gradio_api/upload", multipart=files).json()
    answer = page.request.get(f"{page.url}gradio_api/file={path}")
    assert "sandbox" in answer.headers["content-security-policy"]
    large = {"files": {**files["files"], "buffer": b"x" * 13 * 1024**2}}
    assert page.request.post(f"{page.url}gradio_api/upload", multipart=large).status == 413


def test_an_empty_and_a_damaged_run_say_so(
    browser: Browser, run: Path, tiny_path: Path, tmp_path: Path
) -> None:
    with running(tmp_path) as url:
        page, wrong = visit(browser, url)
        expect(page.locator("h2")).to_have_text("There is nothing to show in this directory yet")
        assert "shiftlens demo" in page.inner_text(".empty")
        assert wrong == []
        page.context.close()
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "words" / "shift.safetensors").write_bytes(b"torn")
    with running(copy, "--model", str(tiny_path)) as url:
        page, wrong = visit(browser, url)
        page.get_by_role("tab", name="This run").click()
        expect(page.locator(".notice.bad")).to_contain_text("words/shift.json")
        assert wrong == []
        page.context.close()


def test_a_token_is_asked_for_once(browser: Browser, run: Path, tiny_path: Path) -> None:
    with running(run, "--model", str(tiny_path), "--token", "quite a secret") as url:
        page = browser.new_context().new_page()
        page.goto(url)
        page.get_by_label("Token").fill("not the secret")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("Token").fill("quite a secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("#ask")
        assert "secret" not in page.url
        answered(page)
        page.context.close()


def _printed(page: Page, folder: Path) -> list[str]:
    """What the archive that the page offers prints, from a folder of its own."""
    with zipfile.ZipFile(io.BytesIO(archive(page))) as kept:
        kept.extractall(folder)
    command = [sys.executable, str(folder / "steer.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def _saved(page: Page) -> dict[str, str]:
    """The files of the archive that the page offers."""
    page.click("#keep button")
    with zipfile.ZipFile(io.BytesIO(archive(page))) as kept:
        return {
            name: kept.read(name).decode()
            for name in kept.namelist()
            if name.endswith((".json", ".py"))
        }
