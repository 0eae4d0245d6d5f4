"""An explained answer inside the report of a run."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.builders import build_report
from tests.unit.reporting.explaining_builders import build_explanation

from shiftlens.reporting.html import write_report


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "words" / "dog" / "explained-0"
    folder.mkdir(parents=True)
    document = build_explanation(folder)
    data = build_report(tmp_path)
    first = next(iter(data["toi"].values()))
    first["explained"] = [{"sample": "s1", "folder": "words/dog/explained-0", "document": document}]
    return data


def _page(data: dict[str, Any], root: Path) -> str:
    return write_report(data, root / "report.html", image_root=root).read_text(encoding="utf-8")


def test_words_picture_and_heat_map_are_in_the_section(
    report: dict[str, Any], tmp_path: Path
) -> None:
    page = _page(report, tmp_path)
    assert "One answer, word by word" in page
    assert page.count('alt="The picture that was asked about"') == 1
    assert 'alt="Heat map of concept 1 over the picture"' in page
    assert page.count('class="gloss at-the-site') >= 1
    assert all(one.startswith("data:") for one in re.findall(r'<img src="([^"]*)"', page))


def test_a_picture_that_is_gone_is_said_to_be(report: dict[str, Any], tmp_path: Path) -> None:
    for file in (tmp_path / "words" / "dog" / "explained-0").glob("*.png"):
        file.unlink()
    page = _page(report, tmp_path)
    assert "the picture could not be read" in page
    assert "data:image/jpeg" not in page.split("word by word</h3>")[1].split("Recovery:")[0]


def test_texts_of_the_model_cannot_do_harm(report: dict[str, Any], tmp_path: Path) -> None:
    first = next(iter(report["toi"].values()))
    first["explained"][0]["document"]["words"][0]["text"] = "<img src=x onerror=alert(1)>"
    assert "<img src=x" not in _page(report, tmp_path)


def test_without_an_explained_answer_there_is_no_section(tmp_path: Path) -> None:
    assert "word by word" not in _page(build_report(tmp_path), tmp_path)
