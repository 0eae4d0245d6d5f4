"""The page of a choice of k: it loads nothing, and says what the document says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shiftlens.concepts.choice import Choice, Spread, TriedK
from shiftlens.core.errors import DataError
from shiftlens.core.intervals import Interval
from shiftlens.reporting.choice_page import choice_charts, write_choice_page


def _tried(k: int, explained: float, **fields: Any) -> TriedK:
    spread = Spread(0.8, 0.7, 0.9)
    return TriedK(
        k,
        Interval(explained, explained - 0.05, explained + 0.05),
        Interval(-0.5, -0.6, -0.4),
        seeds=Spread(0.95, 0.9, 1.0),
        halves=spread,
        random_halves=Spread(0.2, 0.1, 0.3),
        **fields,
    )


def _document(chosen: int | None = 4, **fields: Any) -> dict[str, Any]:
    tried = (_tried(2, 0.3, **fields), _tried(4, 0.6, **fields), _tried(8, 0.61, **fields))
    learner = {"name": "kmeans", "space": "<b>raw</b>"}
    about = (0.95, 0.5, learner, {}, 300, 900, 120, 5, 0)
    return Choice(tried, chosen, "because & so", *about).to_dict()


def test_the_page_says_what_was_chosen(tmp_path: Path) -> None:
    document = _document()
    text = write_choice_page(document, tmp_path / "choice.html").read_text(encoding="utf-8")
    assert "because &amp; so" in text
    assert "&lt;b&gt;raw&lt;/b&gt;" in text
    assert "<b>raw" not in text
    rows = re.findall(
        r"(?s)<tr class=\"(is-chosen)?\">\s*<th[^>]*>(\d+)</th>\s*<td>(\w+)</td>", text
    )
    assert rows == [("", "2", "stable"), ("is-chosen", "4", "chosen"), ("", "8", "stable")]
    assert '0.60 <span class="soft">[0.55, 0.65]' in text
    assert "a random sample" in text
    held = text.split('id="data">', 1)[1].split("</script>", 1)[0]
    assert json.loads(held) == json.loads(json.dumps(document))


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    text = write_choice_page(_document(), tmp_path / "choice.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", text)


def test_undecided_is_said_first(tmp_path: Path) -> None:
    text = write_choice_page(_document(None), tmp_path / "c.html").read_text(encoding="utf-8")
    assert '<p class="verdict text">undecided</p>' in text
    assert 'class="is-chosen"' not in text


def test_dominant_dimensions_are_told_unless_the_space_hears_all(tmp_path: Path) -> None:
    few = {"dominant_dimensions": [3, 7], "dominant_share": 0.9}
    document = {**_document(), **few}
    text = write_choice_page(document, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "few carry 90" in text
    assert "dimensions: 3, 7" in text
    document["learner"] = {"name": "kmeans", "space": "white"}
    text = write_choice_page(document, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "few carry" not in text


def test_charts_are_over_doublings_and_named_by_k() -> None:
    charts = choice_charts(_document(overlap=0.4, random_overlap=0.5))
    assert [one.title[:5] for one in charts] == ["What ", "Do th", "Words"]
    first = charts[0]
    gaps = [b.at - a.at for a, b in zip(first.x_ticks, first.x_ticks[1:], strict=False)]
    assert gaps[0] == pytest.approx(gaps[1], abs=0.2)
    assert [tick.text for tick in first.x_ticks] == ["2", "4", "8"]
    assert [line.name for line in first.lines] == ["learned", "random"]
    assert first.lines[0].points[1].text == "learned at k 4: 0.60"
    assert first.lines[0].band
    assert "learned at k 8: 0.61" in first.description
    lower, higher = first.lines[0].points[0].y, first.lines[0].points[1].y
    assert higher < lower  # upwards on the screen


def test_ticks_that_would_cover_each_other_are_not_written() -> None:
    tried = [_tried(k, 0.1).to_dict() for k in (100, 101, 102, 400)]
    (chart, *_) = choice_charts({"tried": tried})
    assert [tick.text for tick in chart.x_ticks] == ["100", "", "", "400"]


def test_another_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no choice"):
        write_choice_page({"kind": "search", "schema": 1}, tmp_path / "c.html")
    with pytest.raises(DataError, match="tried"):
        write_choice_page({"kind": "choice", "schema": 1}, tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()
