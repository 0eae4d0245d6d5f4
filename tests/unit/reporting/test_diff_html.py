"""The page of a diff: every number is in it, nothing leaves it, nothing in it can do harm."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.reporting.diff_builders import build_diff, without_margin
from tests.unit.reporting.test_html import HOSTILE, read

from shiftlens.core.errors import DataError
from shiftlens.reporting.html import write_report


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    return build_diff(tmp_path)


def test_every_number_can_be_read_back(tmp_path: Path, data: dict[str, Any]) -> None:
    before = json.dumps(data)
    page = read(write_report(data, tmp_path / "r.html", image_root=tmp_path))
    assert json.loads(page.json) == data
    assert json.dumps(data) == before, "the document was changed"
    assert page.open == [], "an element is not closed"


def test_the_page_shows_the_numbers(tmp_path: Path, data: dict[str, Any]) -> None:
    text = read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text
    for part in (
        "What changed from base to places",
        "600 samples of 590 pictures, 2 could not be read",
        "200 to choose where to look 199 to learn concepts and shifts 201 to judge them",
        "50 % of 600 answers",
        "7 of 12 concepts changed, 3 undecided",
        "Undone by +0.32 for 3 of 3 concepts tried",
        "Subtracting the shift was not tried for 9 of 12.",
        "0.50 (own move 0.30) spreads, from 3 placebos",
        "0.31 (own move 0.20), 0.40 (own move 0.21), 0.50 (own move 0.30)",
        "the interval holds the margin; about 180 pictures needed, 41 here",
        "end of the answer looked at 2.50 2.50 100 %",
        "84 loaded, in 42 modules",
        "allowed to differ: dtype float32 and float16",
        "q_proj (6)",
        "prompt text: no sample has such tokens",
        "Exploratory: intervals hold given these concepts",
        "4 more concepts",
        "2 more answers",
        "palm, dunes born",
        "above 0.69 they have at least doubled",
        "Khayatan et al. (2025)",
    ):
        assert part in text, part


def test_answers_given_from_nan_are_counted_where_the_answers_are(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    data["answers"]["not_finite"] = 7
    text = read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text
    assert "NaN or infinity in 7 of 600 answers: a model overflows" in text
    # The twins: none, and documents from before they were counted.
    data["answers"]["not_finite"] = 0
    assert "NaN" not in read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text
    del data["answers"]["not_finite"]
    assert "NaN" not in read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text


def test_the_most_moved_stand_first_and_eight_are_unfolded(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    order = [int(n) for n in re.findall(r'id="concept-(\d+)"', html)]
    assert order == list(range(11, -1, -1))
    fold = html.index("4 more concepts, less surely moved")
    assert html.index('id="concept-4"') < fold < html.index('id="concept-3"')
    linked = re.findall(r'href="#(concept-\d+)" class="text"', html)
    assert linked == [f"concept-{n}" for n in order], "the chart stands in the same order"


def test_samples_flow_and_concepts_can_be_sorted(tmp_path: Path, data: dict[str, Any]) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert "Where the samples went" in html
    assert html.count('class="flow-wide"') == 1
    lows = [one["moved"]["low"] for one in data["concepts"] if one["moved"]["low"] is not None]
    assert sorted(re.findall(r'data-moved="([^"]+)"', html)) == sorted(map(str, lows))
    assert 'data-list="concept-list"' in html
    del data["flow"]
    page = read(write_report(data, tmp_path / "r.html", image_root=tmp_path))
    assert "Where the samples went" not in page.text


def test_a_verdict_is_said_in_words_and_marked_without_colour(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    said = re.findall(r'verdict-said (\w+)"><span[^>]*>(.)</span> (\w+)<', html)
    assert set(said) == {
        ("changed", "◆", "changed"),
        ("stable", "●", "stable"),
        ("undecided", "○", "undecided"),
    }
    assert len(said) == 2 * 2 * len(data["concepts"]), "chart and card, both effects"


def test_the_margin_stands_where_it_is_on_the_axis(tmp_path: Path, data: dict[str, Any]) -> None:
    for one in data["concepts"]:  # an axis from 0 to 4
        for name in ("moved", "own"):
            one[name] |= {"estimate": 2.0, "low": 1.0, "high": 4.0, "margin": 1.0}
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert set(re.findall(r'class="nothing" style="width:([\d.]+)%', html)) == {"25.0"}
    assert set(re.findall(r'class="reach" style="left:([\d.]+)%;width:([\d.]+)%', html)) == {
        ("25.0", "75.0")
    }
    assert set(re.findall(r'class="point" style="left:([\d.]+)%', html)) == {"50.0"}


def test_without_a_margin_the_page_says_what_to_do(tmp_path: Path, data: dict[str, Any]) -> None:
    page = write_report(without_margin(data), tmp_path / "r.html", image_root=tmp_path)
    text, html = read(page).text, page.read_text("utf-8")
    assert "Not judged: no margin says what counts as nothing" in text
    assert "every verdict is undecided" in text
    assert "shiftlens placebo" in text
    assert "--margin" in text
    assert 'class="nothing"' not in html
    assert "changed</span>" not in html


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path, data: dict[str, Any]) -> None:
    path = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    page, html = read(path), path.read_text("utf-8")
    for name in ("src", "href", "xlink:href", "srcset", "action"):
        for value in page.values(name):
            assert value.startswith(("#", "data:")), value
    assert "url(" not in html
    (policy,) = [v for v in page.values("content") if v.startswith("default-src")]
    assert "default-src 'none'" in policy


def test_model_text_cannot_break_out(tmp_path: Path, data: dict[str, Any]) -> None:
    safe = [tag for tag, _ in read(write_report(data, tmp_path / "safe.html")).tags]
    hostile = _poisoned(data)
    page = read(write_report(hostile, tmp_path / "r.html"))
    assert json.loads(page.json) == hostile
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "base")]
    assert [tag for tag, _ in page.tags].count("script") == safe.count("script") == 2
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert HOSTILE in page.text, "shown as the text that it is"


_TEXTS = {
    *("title", "name", "id", "path", "image", "prompt", "base", "tuned", "role", "group"),
    *("reason", "why", "effect", "rule", "probe", "base_named", "source"),
}


def _poisoned(value: Any, key: str = "") -> Any:
    """The document with hostile text wherever text from a model, a file or a user may stand."""
    if isinstance(value, dict):
        found = {name: _poisoned(one, name) for name, one in value.items()}
        return {HOSTILE: "x", **found} if key in ("versions", "settings", "allowed") else found
    if isinstance(value, list):
        return [_poisoned(one, key) for one in value]
    plain = {"schema", "kind", "verdict", "statistic"}
    if isinstance(value, str) and key not in plain:
        return HOSTILE if key in _TEXTS else f"{HOSTILE}{value}"
    return value


def test_an_unknown_number_is_a_dash(tmp_path: Path, data: dict[str, Any]) -> None:
    one = data["concepts"][11]
    for name in ("moved", "own"):
        one[name] |= {"estimate": math.nan, "low": math.nan, "high": math.nan}
        one[name] |= {"verdict": "undecided", "why": "only 8 pictures of it to judge by"}
        one[name] |= {"needs": 10, "pictures": 8}
    one["visible"] = {"effect": "no visible effect", "n_steered": 0, "inside": None}
    one["consistency"] = one["share"] = math.nan
    data["answers"]["divergence"] = data["answers"]["likeness"] = None
    page = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    text = read(page).text
    assert "nan" not in text.lower().split()
    assert text.count("only 8 pictures of it to judge by, at least 10 are needed") == 2
    order = re.findall(r'id="concept-(\d+)"', page.read_text("utf-8"))
    assert order[-1] == "11", "what is not known stands last"


@pytest.mark.parametrize(
    "names",
    [
        ("born", "by_layer", "weights_or_words", "where", "pair", "seconds", "interval_width"),
        ("versions", "settings", "k"),
    ],
)
def test_what_may_be_absent(tmp_path: Path, data: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        del data[name]
    for name in ("likeness", "divergence", "first_token", "cut_off"):
        del data["answers"][name]
    data["answers"]["examples"], data["ranking"] = [], []
    for one in data["concepts"]:
        for name in ("topic", "pictures", "stability"):
            del one[name]
    page = read(write_report(data, tmp_path / "r.html", image_root=tmp_path))
    assert ("where" in page.values("id")) == ("where" not in names)
    text = page.text
    assert "No answer of the judging part changed." in text


def test_a_diff_without_concepts_is_a_page(tmp_path: Path, data: dict[str, Any]) -> None:
    data["concepts"] = []
    data["summary"] = {name: dict.fromkeys(data["summary"][name], 0) for name in data["summary"]}
    assert "None of 0 concepts changed" in read(write_report(data, tmp_path / "r.html")).text


def test_pictures_without_a_path_leave_no_box(tmp_path: Path, data: dict[str, Any]) -> None:
    kept = write_report(data, tmp_path / "kept.html").read_text("utf-8")
    assert 'class="tile missing' in kept, "a picture that cannot be read is a box"
    for one in data["concepts"]:
        for picture in (*one["images_base"], *one["images_tuned"]):
            picture["path"] = None
    for picture in data["born"][0]["images"]:
        picture["path"] = None
    for example in data["answers"]["examples"]:
        example["image"] = None
    html = write_report(data, tmp_path / "r.html").read_text("utf-8")
    assert '<svg class="tile' not in html
    assert 'class="tile missing' not in html


def test_forty_concepts_stay_below_five_megabytes(tmp_path: Path) -> None:
    data = build_diff(tmp_path, k=40)
    for number, one in enumerate(data["concepts"]):
        for side in ("images_base", "images_tuned"):
            for place, picture in enumerate(one[side]):
                # Noise is what a JPEG can least shrink; every picture is another one.
                name = f"{number}-{side}-{place}.bmp"
                Image.effect_noise((128, 128), 90).convert("RGB").save(tmp_path / name)
                picture["path"] = name
    path = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    assert path.read_text("utf-8").count("<symbol") > 250
    assert path.stat().st_size < 5_000_000


@pytest.mark.parametrize("schema", [2, "1", None])
def test_another_schema_is_refused(tmp_path: Path, data: dict[str, Any], schema: object) -> None:
    with pytest.raises(DataError, match="a diff of schema"):
        write_report({**data, "schema": schema}, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("margins",), None, "lacks 'margins'"),
        (("models", "tuned"), {}, "models.tuned lacks 'name'"),
        (("concepts", 3, "moved"), {}, r"concepts\[3\].moved lacks 'verdict'"),
        (("concepts", 0, "came"), "snow", r"concepts\[0\].came is a str"),
        (("concepts", 1, "visible"), [], r"concepts\[1\].visible is a list"),
        (("answers", "examples", 2), {}, r"answers.examples\[2\] lacks 'id'"),
        (("ranking", 0), 3, r"ranking\[0\] is not an object"),
        (("by_layer", 0), {}, r"by_layer\[0\] lacks 'layer'"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    tmp_path: Path, data: dict[str, Any], place: tuple[Any, ...], value: object, said: str
) -> None:
    part: Any = data
    for key in place[:-1]:
        part = part[key]
    if value is None:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    with pytest.raises(DataError, match=said) as caught:
        write_report(data, tmp_path / "r.html")
    if value is None or value == {}:
        assert "docs/formats/diff.md" in str(caught.value)
