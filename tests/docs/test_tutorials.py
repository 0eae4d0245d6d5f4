"""The tutorials are true: each runs as it stands, prints what it shows, and is a notebook too."""

import json
from pathlib import Path

import pytest
from docsite.notebooks import notebook
from docsite.pages import parse, whole
from docsite.printing import alike, first_difference
from docsite.tutorials import pages, run

_NAMES = [page.stem for page in pages()]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute on a quiet machine, many on one that others share
@pytest.mark.parametrize("page", pages(), ids=_NAMES)
def test_a_tutorial_prints_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = 0
    for block, wanted, said in run(page):
        if wanted is not None:
            shown += 1
            assert first_difference(wanted.text, said) == "", block.text
    assert shown >= 2, "a tutorial shows what is printed"


@pytest.mark.parametrize("page", pages(), ids=_NAMES)
def test_a_tutorial_s_notebook_is_in_step(page: Path) -> None:
    beside = page.with_suffix(".ipynb")
    assert beside.read_text(encoding="utf-8") == notebook(page), "python -m docsite.notebooks"


@pytest.mark.parametrize("page", pages(), ids=_NAMES)
def test_a_notebook_holds_the_code_and_the_prints_of_its_page(page: Path) -> None:
    cells = json.loads(notebook(page))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    blocks = parse(page.read_text(encoding="utf-8"))
    assert len(code) == sum(one.kind in ("sh", "python") or bool(one.title) for one in blocks)
    printed = sum(bool(one.text.strip()) for one in blocks if one.printed)
    assert sum(len(cell["outputs"]) for cell in code) == printed > 0


@pytest.mark.parametrize("page", pages(), ids=_NAMES)
def test_a_page_of_blocks_is_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert whole(parse(text)) == text


def test_every_tutorial_is_told_of_with_what_can_go_wrong() -> None:
    index = (pages()[0].parent / "index.md").read_text(encoding="utf-8")
    for page in pages():
        assert f"({page.name})" in index
        assert f"({page.stem}.ipynb)" in index
        text = page.read_text(encoding="utf-8")
        assert "You will " in text.split("##", 1)[0]
        assert "## What can go wrong" in text


def test_a_print_is_what_stands_right_behind_code() -> None:
    text = "```sh\nls\n```\n\n```text\na\n```\nprose\n\n```text\nb\n```\n"
    assert [block.printed for block in parse(text) if block.kind == "text"] == [True, False]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("a 1.00 b", "a  1.01 b\n"),
        ("first\n...\nlast", "first\nmiddle\nlast\n"),
        ("first\n...", "first\nmore\n"),
        ("−0.50", "−0.51"),
        ("100 states", "104 states"),
    ],
)
def test_prints_that_are_about_the_same_pass(shown: str, said: str) -> None:
    assert first_difference(shown, said) == ""


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("changed 1.00", "stable 1.00"),
        ("0.40", "0.50"),
        ("100 states", "110 states"),
        ("0.50", "−0.50"),
        ("first\nlast", "first\nmiddle\nlast"),
        ("first", "first\nmore"),
        ("first\n...\nlast", "first\nmiddle"),
        ("", "something"),
    ],
)
def test_prints_that_differ_do_not(shown: str, said: str) -> None:
    assert first_difference(shown, said) != ""


def test_lines_of_other_words_are_not_alike() -> None:
    assert alike("k 4 chosen", "k 4 chosen")
    assert not alike("k 4 chosen", "k 4 unstable")
