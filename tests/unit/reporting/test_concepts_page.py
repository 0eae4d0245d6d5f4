"""Concepts of a run's page: flow, scatter, verdicts, heat maps, three sentences, bad input."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.unit.reporting.builders import build_flow, build_heat, build_report
from tests.unit.reporting.test_html import read

from shiftlens.core.errors import DataError
from shiftlens.reporting.flow_picture import flow_view
from shiftlens.reporting.heat import shade
from shiftlens.reporting.html import write_report
from shiftlens.reporting.numbers import bounds, decimal, percent
from shiftlens.reporting.overview import origins, sentences
from shiftlens.reporting.scatter import scatter
from shiftlens.reporting.verdict_views import judged_sentence, judgements

_RTL = "\u202e\u05e9\u05dc\u05d5\u05dd \u202d"
_NASTY = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>',
    f"{_RTL}\u200f",
    "\U0001f469\u200d\U0001f680\U0001f3f3\ufe0f\u200d\U0001f308",
    "x" * 10_000,
)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    return build_report(tmp_path)


@pytest.fixture
def toi(data: dict[str, Any]) -> dict[str, Any]:
    return data["toi"]["person"]


def _article(html: str, index: int) -> str:
    start = html.index(f'id="toi-0-concept-{index}"')
    return html[start : html.index("</article>", start)]


def test_every_number_of_a_concept_is_the_documents(
    tmp_path: Path, data: dict[str, Any], toi: dict[str, Any]
) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    shown = json.loads(read(tmp_path / "r.html").json)["toi"]["person"]
    assert shown == toi
    for change, judged in zip(shown["changes"], shown["verdicts"]["concepts"], strict=True):
        article = _article(html, change["index"])
        for name in ("share", "magnitude", "consistency", "overlap"):
            assert f'data-{name}="{change[name]}"' in article
        assert f"{percent(change['share'])} of the samples" in article
        assert f"<b>{decimal(change['magnitude'], 1)}</b>" in article
        for effect in ("moved", "own"):
            assert decimal(judged[effect]["estimate"]) in article
            assert bounds(judged[effect]) in article
        assert f'data-verdict="{judged["moved"]["verdict"]}"' in article


def test_the_flow_is_drawn_and_told(toi: dict[str, Any]) -> None:
    kinds = [one["kind"] for one in toi["verdicts"]["concepts"]]
    view = flow_view(toi["flow"], toi["changes"], (kinds, toi["verdicts"]["tuned"]))
    assert view is not None
    counts = toi["flow"]["counts"]
    assert view.samples == sum(map(sum, counts))
    ends = [sum(column) for column in zip(*counts, strict=True)]
    for picture, faintest in zip(view.pictures, (0.02, 0.05), strict=True):
        shown = {(band.base, band.tuned) for band in picture.bands}
        assert shown == {
            (i, j)
            for i, row in enumerate(counts)
            for j, n in enumerate(row)
            if max(n / sum(row), n / ends[j]) >= faintest
        }
        assert {node.index for node in picture.left} == set(range(12))
        feet = [node.y + node.height for node in (*picture.left, *picture.right)]
        assert max(feet) <= picture.height
    told = " ".join(view.sentences)
    assert view.sentences[0] == "Kept: 3 of 12 base concepts."
    assert "Vanished: 11 (" in told
    assert "Born: 11 (" in told
    first = view.base[0]
    index, _, n, share = first.parts[0]
    assert n == max(counts[first.index])
    assert counts[first.index][index] == n
    assert share == percent(n / sum(counts[first.index]))
    assert first.refits == f"kept in {percent(0.93)} of them"


def test_bands_stay_within_their_bars(toi: dict[str, Any]) -> None:
    view = flow_view(toi["flow"], toi["changes"])
    assert view is not None
    for picture in view.pictures:
        bars = {node.index: node for node in picture.left}
        for band in picture.bands:
            _, top, *_, bottom = map(float, re.findall(r"[\d.]+", band.path))
            node = bars[band.base]
            assert node.y - 0.2 <= top <= bottom <= node.y + node.height + 0.2


def test_documents_without_the_new_parts_are_drawn(
    tmp_path: Path, data: dict[str, Any], toi: dict[str, Any]
) -> None:
    for name in ("flow", "verdicts", "heat", "concept_shares", "data"):
        del toi[name]
    page = read(write_report(data, tmp_path / "r.html", image_root=tmp_path))
    assert "Where the samples went" not in page.text
    assert "Verdicts." not in page.text
    assert "Shift vectors" in page.text
    assert flow_view(None, []) is None
    assert flow_view({"counts": [[0]], "base": ["empty"], "tuned": ["empty"]}, []) is None


def test_a_flow_that_does_not_fit_is_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    data["toi"]["person"]["flow"]["counts"][3].pop()
    with pytest.raises(DataError, match=r"toi.person.flow.counts has rows of"):
        write_report(data, tmp_path / "r.html")
    data["toi"]["person"]["flow"] = build_flow(12)
    del data["toi"]["person"]["verdicts"]["concepts"][0]["own"]["low"]
    with pytest.raises(DataError, match=r"verdicts.concepts\[0\].own lacks 'low'"):
        write_report(data, tmp_path / "r.html")


def test_one_point_a_concept_with_its_label_beside(toi: dict[str, Any]) -> None:
    view = scatter(toi["changes"], {0: "changed", 1: "stable"})
    assert view is not None
    assert [dot.index for dot in view.dots] == list(range(12))
    assert [dot.verdict for dot in view.dots][:3] == ["changed", "stable", ""]
    longest = max(view.dots, key=lambda dot: dot.x)
    assert longest.index == max(toi["changes"], key=lambda c: c["magnitude"])["index"]
    places = [(dot.label_x, dot.label_y) for dot in view.dots]
    assert len(set(places)) == len(places)
    assert all(view.frame.left <= dot.x <= view.frame.right for dot in view.dots)
    toi["changes"][0]["consistency"] = None
    assert len(getattr(scatter(toi["changes"], {}), "dots", ())) == 11
    assert scatter([], {}) is None


def test_verdicts_are_said_with_their_reason(toi: dict[str, Any]) -> None:
    found = judgements(toi["verdicts"])
    assert [found[i].verdict for i in range(3)] == ["changed", "stable", "undecided"]
    assert found[2].reasons == ("the interval holds the margin; about 90 pictures needed, 38 here",)
    assert "40 judging pictures" in found[0].basis
    said = judged_sentence(toi["verdicts"])
    assert said.startswith("10 changed, 1 stable, 1 undecided; counts as nothing: 0.50 spreads")
    toi["verdicts"]["margins"]["moved"] = None
    assert "no margin says what counts as nothing" in judged_sentence(toi["verdicts"])
    assert judged_sentence({"reason": "too few"}) == "Nothing was judged: too few."
    assert judged_sentence(None) == ""


def test_a_heat_map_is_a_shade_that_is_clear_where_the_concept_is() -> None:
    uri = shade([[100, 0, 50], [0, 0, 0]])
    assert uri is not None
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert image.size == (3, 2)
    opacity = np.asarray(image.getchannel("A")).ravel().tolist()
    assert opacity[0] == 0
    assert opacity[1] > opacity[2] > 0
    assert shade([[0, 0], [0, 0]]) is None
    assert shade([[1, 2], [3]]) is None
    assert shade([]) is None


def test_heat_maps_lie_over_their_pictures(tmp_path: Path, data: dict[str, Any]) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert html.count('class="shade"') == 10
    assert 'aria-label="Pictures of tuned concept 1; 5 with' in html
    assert "Heat maps, checked." in html
    assert "+0.01 [−0.03, 0.05]: NOT surely more than chance" in html
    assert "none of it is checked" not in html
    del data["toi"]["person"]["heat"]["check"]
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert "none of it is checked" in html
    assert 'tabindex="0" role="group" aria-label="Pictures of base concept 0; 5 with' in html
    data["toi"]["person"]["heat"] = build_heat([], 12)
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert 'class="shade"' not in html
    assert 'tabindex="0" role="group" aria-label="Pictures' not in html


def test_three_sentences_come_from_the_numbers(data: dict[str, Any], toi: dict[str, Any]) -> None:
    asked, changed, held = sentences(data)
    assert "2\N{NARROW NO-BREAK SPACE}000 samples (1\N{NARROW NO-BREAK SPACE}874 matched" in asked
    assert "121 missed, 5 failed) for “person”" in asked
    assert "Of 12 concepts of “person” 10 surely moved, and number" in changed
    assert "comes closer than 4 of 5 controls, not than one affine map of all states" in held
    assert "5 of 6 goals of steering are reached" in held
    assert all(one.endswith(".") and ". " not in one for one in (asked, changed, held))
    toi["rows"]["matched"] = 7
    assert "(7 matched" in sentences(data)[0]


def test_what_was_compared_says_where_it_comes_from(data: dict[str, Any]) -> None:
    data["models"]["base"] |= {"revision": "abc", "weights": "sha256:1"}
    data["models"]["tuned"] |= {"revision": None, "weights": "sha256:1", "adapter_weights": "s:2"}
    found = origins(data)
    assert found.models == ("world/base", "world/base + places")
    assert dict(found.facts) == {"revision": ("abc", "—")}
    assert dict(found.marks)["adapter’s weights"] == ("—", "s:2")
    assert found.data[0]["fingerprint"] == "f" * 64


@pytest.mark.parametrize("nasty", _NASTY, ids=["html", "rtl", "emoji", "long"])
def test_nasty_text_is_text(
    tmp_path: Path, data: dict[str, Any], toi: dict[str, Any], nasty: str
) -> None:
    safe = read(write_report(data, tmp_path / "s.html", image_root=tmp_path))
    tags = [tag for tag, _ in safe.tags]
    spoil(data, nasty)
    page = read(write_report(data, tmp_path / "r.html", image_root=tmp_path))
    assert json.loads(page.json) == data
    found = [tag for tag, _ in page.tags]
    assert found.count("script") == tags.count("script")
    assert found.count("img") == tags.count("img")
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.open == []
    assert nasty in page.text or nasty == _NASTY[1], "the whole text stands under All words"


def spoil(data: dict[str, Any], nasty: str) -> None:
    """Put a text wherever captions, names and words of others stand."""
    change = data["toi"]["person"]["changes"][0]
    for name in ("words_base", "contrastive_base", "contrastive_tuned", "came", "went"):
        change[name] = [nasty, *change[name]]
    change["images_base"][0] = {"id": nasty, "path": nasty}
    data["title"] = data["models"]["tuned"]["name"] = nasty
    data["toi"]["person"]["members"] = [nasty]
    data["toi"]["person"]["data"]["source"] = nasty
    data["toi"] = {nasty: data["toi"]["person"]}


def test_a_missing_picture_says_why(
    tmp_path: Path, data: dict[str, Any], toi: dict[str, Any]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no more")
    toi["changes"][0]["images_base"] = [
        {"id": "gone", "path": "nowhere.png"},
        {"id": "spoilt", "path": "broken.png"},
        {"id": "hidden", "path": None},
    ]
    text = read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text
    assert "no file there : gone" in text
    assert "not a picture that can be read : spoilt" in text
    assert "no picture : hidden" in text


def test_an_empty_comparison_says_so(tmp_path: Path, data: dict[str, Any]) -> None:
    empty = {**data, "toi": {}, "steering": {}}
    text = read(write_report(empty, tmp_path / "r.html")).text
    assert "Nothing was compared: the document holds no concepts and no steering." in text
    toi = {**data["toi"]["person"], "changes": [], "flow": None, "verdicts": None}
    toi["rows"] = {"matched": 0, "missed": 2000, "failed": 0}
    text = read(write_report({**data, "toi": {"person": toi}}, tmp_path / "r.html")).text
    assert "Nothing to compare: no concept was found in these samples. 0 of 2" in text
