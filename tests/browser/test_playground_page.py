"""docs/playground.md is true: a run is served as it says, and what is kept runs as it says."""

import base64
import io
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tests.unit.playground.server import START, running

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "playground.md"
_EXPERIMENT = """
title = "A small run"
base = "world:base"
tuned = "world:places"
max_new_tokens = 12
[data.yesno]
source = "world:yesno"
n = 60
seed = 3
[[steering]]
kind = "answers"
name = "answer"
title = "From yes to no"
question = "Does it?"
data = "yesno"
layer = -1
strength = 0.8
"""


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("experiment.toml").write_text(_EXPERIMENT)
    install, run, serve = _blocks("sh")[0].splitlines()
    assert install.startswith("pip install 'shiftlens[app]'")
    subprocess.run([sys.executable, "-c", START, *shlex.split(run)[1:]], check=True, timeout=250)
    _, verb, folder, *options = shlex.split(serve)
    assert verb == "serve"
    with running(Path(folder), *options) as url:
        saved = _save(url)
    with zipfile.ZipFile(io.BytesIO(saved)) as archive:
        archive.extractall("setting")
    capsys.readouterr()
    (code,) = _blocks("python")
    exec(compile(code, "docs/playground.md", "exec"), {})
    assert "strength -1.5" in capsys.readouterr().out


def _save(url: str) -> bytes:
    """The archive that the page offers after an answer."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        with page.expect_response(re.compile("/queue/join")):  # from then on presses are heard
            page.goto(url)
        page.click("#ask")
        page.wait_for_selector("#receipt .figures")
        page.click("#keep button")
        href = page.get_attribute("#download a.save", "href") or ""
        browser.close()
    return base64.b64decode(href.split(",", 1)[1])
