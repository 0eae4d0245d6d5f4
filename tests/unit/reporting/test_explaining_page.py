"""The page of an explanation: it loads nothing, and says what the document says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.reporting.explaining_builders import activity, build_explanation, said

from shiftlens.core.errors import DataError
from shiftlens.reporting.explaining_page import write_explanation_page
from shiftlens.reporting.explaining_views import (
    explaining_findings,
    glosses,
    how_active,
    map_views,
    place_in_words,
)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    return build_explanation(tmp_path)


def _page(document: dict[str, Any], root: Path) -> str:
    return write_explanation_page(document, root / "explanation.html").read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_holds_its_document(
    document: dict[str, Any], tmp_path: Path
) -> None:
    document["words"][1]["text"] = "</script><b>dog"
    page = _page(document, tmp_path)
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert links
    assert all(one.startswith(("#", "data:")) for one in links)
    assert "default-src 'none'" in page
    assert "</script><b>" not in page
    kept = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert kept is not None
    assert json.loads(kept[1]) == document


def test_pictures_and_heat_maps_are_inside_with_their_texts(
    document: dict[str, Any], tmp_path: Path
) -> None:
    page = _page(document, tmp_path)
    alternatives = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', page)
    assert [one.split(":")[0] for one in alternatives] == [
        "Picture 1 that was asked about",
        "Heat map of concept 1 (dog, puppy) over picture 1",
        "Heat map of concept 1 (dog, puppy) over picture 1",
    ]
    # Shown while pointed at, while chosen, and for good beside the concept.
    assert ".look:has(.pick-1:checked) .heat-1" in page
    assert ".look:has(.of-1:is(:hover, :focus-within)) .heat-1" in page
    assert 'label for="show-1"' in page


def test_a_picture_that_is_gone_is_a_box(document: dict[str, Any], tmp_path: Path) -> None:
    document["pictures"] = ["gone.png"]
    document["heat_maps"][0]["file"] = "gone.png"
    page = _page(document, tmp_path)
    assert "the picture could not be read" in page
    assert "the heat map could not be read" in page


def test_words_without_pictures_or_calibration(document: dict[str, Any], tmp_path: Path) -> None:
    document |= {"pictures": [], "heat_maps": [], "occlusions": [], "calibration": None}
    document["notes"] = ["no heat maps: <none>"]
    for word in document["words"]:
        for one in word["concepts"]:
            one |= {"typical": None, "above": None, "active": None}
    page = _page(document, tmp_path)
    assert "not calibrated" in page
    assert "no heat maps: &lt;none&gt;" in page
    assert "<figure" not in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "nearer than 63\u202f% of its own rows"),
        ({"above": 1.0}, "nearer than all of its own rows"),
        ({"above": 0.0, "active": False}, "farther than all of its own rows"),
        (
            {"active": False, "margin": -0.1},
            "nearer than 63\u202f% of its own rows, but another is",
        ),
        ({"above": None, "active": None}, "nearest by 55\u202f%; not calibrated"),
        ({"above": None, "active": None, "margin": -1.2}, "120\u202f% farther than the nearest"),
        ({"distance": None, "code": 2.0}, "more active than 63\u202f% of its own rows"),
        ({"distance": None, "code": 2.0, "above": 0.0}, "less active than all of its own rows"),
        ({"distance": None, "code": 2.0, "above": None}, "largest by 55\u202f%; not calibrated"),
    ],
)
def test_how_active_in_words(fields: dict[str, Any], words: str) -> None:
    assert how_active(activity(0, **fields)).startswith(words)


def test_the_findings(document: dict[str, Any]) -> None:
    heads, verdicts = zip(
        *((one.heading, one.verdict) for one in explaining_findings(document)), strict=True
    )
    assert len(heads) == 3
    assert verdicts == ("a dog runs", "“dog”", "concept 1: dog, puppy")
    document["words"][1]["concepts"][0]["active"] = False
    assert explaining_findings(document)[2].verdict == "no concept"
    document["words"][1]["where"] = "outside"
    assert explaining_findings(document)[1].verdict == "none of them"
    document["calibration"] = None
    assert explaining_findings(document)[2].verdict == "not calibrated"


def test_glosses_tell_what_has_a_map(document: dict[str, Any]) -> None:
    found = glosses(document)
    assert [(one.concept, one.active, one.mapped) for one in found] == [
        (0, "no", False),
        (1, "yes", True),
        (None, "no", False),
    ]


def test_a_map_holds_only_above_every_random_choice(document: dict[str, Any]) -> None:
    (one,) = map_views(document)
    assert one.holds
    assert "goes from 75.5 to 57.5; without" in one.checked
    document["occlusions"][0]["random"] = [0.5, 18.0]
    (one,) = map_views(document)
    assert one.holds is False
    assert one.checked.endswith("no better than chance")
    document["occlusions"] = []
    assert map_views(document)[0].holds is None


def test_many_words_of_a_site_are_a_few() -> None:
    words = [f"w{at}" for at in range(9)]
    assert place_in_words({"tokens": {"words": words}}).endswith("or 6 other words")
    assert place_in_words({"tokens": {"words": words[:2]}}) == "“w0” or “w1”"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "search"}, "is no explanation"),
        ({"schema": 2}, "is no explanation"),
        ({"words": None}, "words is a NoneType"),
        ({"k": "many"}, "k is a str"),
    ],
)
def test_another_document_is_refused(
    document: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _page(document | change, tmp_path)


def test_concepts_that_are_active_nowhere_are_folded(
    document: dict[str, Any], tmp_path: Path
) -> None:
    page = _page(document, tmp_path)
    assert page.index('id="concept-1"') < page.index("1 more, active at no word")
    assert page.index("1 more, active at no word") < page.index('id="concept-0"')
    document["words"] = [said("a", 0), said("dog", 2)]
    assert "No concept is active at any word." in _page(document, tmp_path)
