"""Several directions at a time, and kept settings opened again, in a real browser."""

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.accessibility import findings, walked
from tests.browser.test_report import _CONTRAST
from tests.browser.visiting import answered, archive, choose, set_strength, visit
from tests.builders import build_vector
from tests.unit.playground.server import running

import shiftlens as sl
from shiftlens.steering.intervening import Intervention

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)


def _add(page: Page, direction: str, strength: float) -> None:
    lines = page.locator("#list li").count()
    choose(page, "direction", direction)
    set_strength(page, strength)
    page.click("#add")
    expect(page.locator("#list li")).to_have_count(lines + 1)


def _said(page: Page) -> list[str]:
    parts = ("#unsteered .said", "#steered .said", "#receipt")
    return [page.inner_text(part) for part in parts]


def _keep(page: Page, path: Path) -> None:
    page.click("#keep button")
    path.write_bytes(archive(page))


def _open(page: Page, *files: Path | str) -> None:
    if not page.locator("#setting_file").is_visible():
        page.click("#open button")
    page.set_input_files("#setting_file input[type=file]", [str(one) for one in files])


def test_a_list_steers_with_all_of_its_lines(page: Page) -> None:
    _add(page, "louder", 4)
    answered(page)
    (alone,) = [_said(page)]
    _add(page, "two out", 0.5)
    expect(page.locator("#list h2")).to_have_text(re.compile("these 2 directions, in this order"))
    # What stands above the list does nothing until it is added.
    set_strength(page, -5)
    answered(page)
    both = _said(page)
    assert both[0] == alone[0]
    assert both[1] != alone[1]
    assert page.locator("#receipt .figures").count() == 2
    assert "strength 4" in both[2]
    assert "LEACE, strength 0.5" in both[2]
    page.get_by_role("button", name="Remove direction 2: two out").click()
    expect(page.locator("#list li")).to_have_count(1)
    answered(page)
    assert _said(page) == alone


def test_a_line_goes_back_to_be_changed(page: Page) -> None:
    choose(page, "direction", "louder")
    page.fill("#layer input[type=number]", "1")
    page.get_by_role("button", name="How, where, when").click()
    choose(page, "operator", "move to")
    page.fill("#target input", "-1.5")
    _add(page, "louder", 2.5)
    before = page.inner_text("#list li")
    assert "after block\n1" in before
    _add(page, "two out", 1)
    page.get_by_role("button", name="Change direction 1: louder").click()
    expect(page.locator("#direction input")).to_have_value("louder")
    expect(page.locator("#strength input[type=number]")).to_have_value("2.5")
    expect(page.locator("#target input")).to_have_value("-1.5")
    expect(page.locator("#layer input[type=number]")).to_have_value("1")
    expect(page.locator("#about")).to_contain_text("after several blocks")
    page.click("#add")
    expect(page.locator("#list li")).to_have_count(2)
    assert page.inner_text("#list li >> nth=1") == before


def test_what_is_kept_opens_again_with_the_same_answers(
    page: Page, browser: Browser, url: str, tmp_path: Path
) -> None:
    _add(page, "louder", 4)
    _add(page, "“cat”", -1.25)
    page.fill("#times input[type=number]", "1.5")
    page.keyboard.press("Tab")
    page.fill("#prompt textarea", "what is this ?")
    answered(page)
    before, shown = _said(page), page.locator("#list li").all_inner_texts()
    assert "strength 6" in before[2]
    _keep(page, tmp_path / "mine.zip")
    other, wrong = visit(browser, url)  # somebody else, who was sent the file
    other.wait_for_selector("#ask")
    expect(other.locator("#list li")).to_have_count(0)
    _open(other, tmp_path / "mine.zip")
    expect(other.locator("#opened")).to_contain_text("is as it was kept")
    expect(other.locator("#prompt textarea")).to_have_value("what is this ?")
    expect(other.locator("#list li")).to_have_count(2)
    again = other.locator("#list li").all_inner_texts()
    assert ["strength\n6" in again[0], "strength\n4" in shown[0]] == [True, True]
    assert other.get_by_role("button", name=re.compile("^Change")).count() == 0
    answered(other)
    assert _said(other)[:2] == before[:2]
    # The same once more, from the two files of the steering: without the question.
    with zipfile.ZipFile(tmp_path / "mine.zip") as kept:
        kept.extractall(tmp_path)
    other.fill("#prompt textarea", "and now ?")
    _open(other, tmp_path / "steering.json", tmp_path / "steering.safetensors")
    expect(other.locator("#opened")).not_to_contain_text("the question is")
    expect(other.locator("#prompt textarea")).to_have_value("and now ?")
    assert wrong == []
    other.context.close()


def test_a_setting_of_the_run_opens(
    browser: Browser, page: Page, tiny_path: Path, tmp_path: Path
) -> None:
    _add(page, "louder", 4)
    answered(page)
    before = _said(page)
    _keep(page, tmp_path / "mine.zip")
    with zipfile.ZipFile(tmp_path / "mine.zip") as kept:
        kept.extractall(tmp_path / "run" / "kept")
    with running(tmp_path / "run", "--model", str(tiny_path)) as url:
        other, wrong = visit(browser, url)
        other.wait_for_selector("#ask")
        other.click("#open button")
        other.click("#open_kept")
        expect(other.locator("#list li")).to_have_count(1)
        answered(other)
        assert _said(other)[:2] == before[:2]
        assert wrong == []
        other.context.close()


def test_files_that_are_no_setting_are_one_sentence(page: Page, tmp_path: Path) -> None:
    _add(page, "louder", 1)
    expect(page.locator("#list")).not_to_contain_text("processing")
    before = page.inner_text("#list")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "b.json").write_text("{}")
    stranger = build_vector(provenance={"model": {"weights": "sha256:other"}})
    sl.Steering((Intervention(stranger),)).save(tmp_path / "c")
    for files, said in (
        (("a.zip",), "The zip is damaged"),
        (("b.json",), "This is no kept setting (.json)"),
        (("c.json", "c.safetensors"), "comes from other weights"),
    ):
        _open(page, *(tmp_path / one for one in files))
        expect(page.locator("#opened .bad")).to_contain_text(said)
        # Where it was unpacked is nobody's business; the model's own name stands above the page.
        assert "shiftlens-" not in page.inner_text("#opened")
    assert page.inner_text("#list") == before, "the page stays as it was"
    answered(page)


def test_a_list_ends_somewhere(page: Page) -> None:
    for _ in range(8):
        lines = page.locator("#list li").count()
        page.click("#add")
        expect(page.locator("#list li")).to_have_count(lines + 1)
    page.click("#add")
    expect(page.locator("#list_told .bad")).to_contain_text("The list is full")


def test_the_list_is_used_without_a_mouse(page: Page) -> None:
    for name in ("louder", "two out"):
        _add(page, name, 1)
    page.focus("#add")
    names = [one["name"] for one in walked(page, 4)]
    assert names == [
        "Change direction 1: louder",
        "Remove direction 1: louder",
        "Change direction 2: two out",
        "Remove direction 2: two out",
    ]
    page.keyboard.press("Enter")
    expect(page.locator("#list li")).to_have_count(1)
    expect(page.locator("#list button:focus")).to_have_count(1)
    page.get_by_role("button", name="Remove direction 1").focus()
    page.keyboard.press("Space")
    expect(page.locator("#list li")).to_have_count(0)
    expect(page.locator("#list p:focus")).to_have_count(1)


def test_who_presses_twice_removes_one(page: Page) -> None:
    for name in ("louder", "two out", "“cat”"):
        _add(page, name, 1)
    page.get_by_role("button", name="Remove direction 1").dblclick()
    expect(page.locator("#list li")).to_have_count(2)
    page.wait_for_timeout(1500)
    expect(page.locator("#list li")).to_have_count(2)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_list_can_be_read(browser: Browser, url: str, width: int, scheme: str) -> None:
    page, wrong = visit(browser, url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.wait_for_selector("#ask")
    for name in ("louder", "script", "“cat”"):
        _add(page, name, -1)
    page.click("#open button")
    page.wait_for_timeout(400)
    answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(_CONTRAST) == []
    assert findings(page) == []
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert wrong == []
    page.context.close()


def test_a_list_that_the_server_forgot_is_said(page: Page) -> None:
    """What is seen is what is done: a page that outlived its session steers with nothing else."""
    assert "has forgotten the list" in page.evaluate(_JOIN)


_JOIN = """async () => {
  const config = await (await fetch('config')).json();
  const ask = config.dependencies.find(one => one.api_name === 'answer');
  const parts = Object.fromEntries(config.components.map(one => [one.id, one.props]));
  const data = ask.inputs.map(id => parts[id].elem_id === 'listed' ? 1 : parts[id].value ?? null);
  const at = ask.inputs.findIndex(id => (parts[id].elem_id === 'picture'));
  data[at] = null;
  await fetch('gradio_api/queue/join', {method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({data, fn_index: ask.id, session_hash: 'forgotten'})});
  const told = await fetch('gradio_api/queue/data?session_hash=forgotten');
  return await told.text();
}"""
