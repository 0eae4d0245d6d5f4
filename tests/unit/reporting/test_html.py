"""The page: every number is in it, nothing leaves it, and nothing in it can do harm."""

import base64
import io
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.reporting.builders import build_report

from shiftlens.core.errors import DataError
from shiftlens.reporting.html import write_report

_VOID = {"meta", "link", "image", "line", "path", "rect", "circle", "use", "br", "input"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.json = ""
        self.open: list[str] = []
        self._data = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._data = tag == "script" and dict(attrs).get("id") == "data"
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._data:
            self.json += data
        elif self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """The visible text, with single spaces."""
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [value for _, attrs in self.tags if (value := attrs.get(name)) is not None]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    return build_report(tmp_path)


def test_every_number_can_be_read_back(tmp_path: Path, data: dict[str, Any]) -> None:
    before = json.dumps(data)
    path = write_report(data, tmp_path / "deep" / "report.html", image_root=tmp_path)
    assert path == tmp_path / "deep" / "report.html"
    page = read(path)
    assert json.loads(page.json) == data
    assert json.dumps(data) == before, "the document was changed"
    assert page.open == [], "an element is not closed"


def test_the_page_shows_the_numbers(tmp_path: Path, data: dict[str, Any]) -> None:
    text = read(write_report(data, tmp_path / "r.html", image_root=tmp_path)).text
    for part in (
        "concept − global at strength 1: +0.20 [0.15, 0.26]",
        "3 of 4 steerings reached all their goals",
        "5 of 6 goals are reached.",
        "0.93 [0.89, 0.96]",
        "✗ not reached",
        "1 874 matched",
        "● gate open",
        "○ gate closed",
        "Khayatan et al. (2025)",
        "Parekh et al. (2024)",
        "4 more concepts",
    ):
        assert part in text


def test_concepts_stand_by_share_and_eight_are_unfolded(
    tmp_path: Path, data: dict[str, Any]
) -> None:
    changes = data["toi"]["person"]["changes"]
    changes.reverse()
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    order = [
        int(n)
        for n in re.findall(
            r'<article class="concept" id="toi-0-concept-\d+" aria-label="concept (\d+)"', html
        )
    ]
    assert order == list(range(12))
    assert html.index('aria-label="concept 7"') < html.index("4 more concepts")
    assert html.index('aria-label="concept 8"') > html.index("4 more concepts")


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path, data: dict[str, Any]) -> None:
    path = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    page = read(path)
    for name in ("src", "href", "xlink:href", "srcset", "action"):
        for value in page.values(name):
            assert value.startswith(("#", "data:")), value
    html = path.read_text("utf-8")
    assert "url(" not in html
    assert "@import" not in html
    (policy,) = [v for v in page.values("content") if v.startswith("default-src")]
    assert "default-src 'none'" in policy
    assert "unsafe-inline'; script" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]+'", policy)


def test_model_text_cannot_break_out(tmp_path: Path, data: dict[str, Any]) -> None:
    safe = [tag for tag, _ in read(write_report(data, tmp_path / "safe.html")).tags]
    hostile = _poisoned(data)
    page = read(write_report(hostile, tmp_path / "r.html"))
    assert json.loads(page.json) == hostile
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "object", "base")]
    assert [tag for tag, _ in page.tags].count("script") == safe.count("script") == 2
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert HOSTILE in page.text, "shown as the text that it is"


def _poisoned(value: Any) -> Any:
    """The document with hostile text in every name that may come from a model, file or user."""
    texts = {"title", "question", "method", "prompt", "text", "label", "id", "path", "name"}
    lists = {"words_base", "words_tuned", "contrastive_base", "contrastive_tuned", "came", "went"}
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            if key in texts and isinstance(item, str):
                found[key] = HOSTILE
            elif key in lists or key in ("receipt", "members"):
                found[key] = [HOSTILE, *item]
            elif key in ("toi", "ami", "versions", "shares", "rows_by_text"):
                found[key] = {HOSTILE + str(i): _poisoned(v) for i, v in enumerate(item.values())}
            else:
                found[key] = _poisoned(item)
        return found
    return [_poisoned(item) for item in value] if isinstance(value, list) else value


def test_half_a_character_is_no_problem(tmp_path: Path, data: dict[str, Any]) -> None:
    data["toi"]["person"]["changes"][0]["contrastive_base"][0] = "broken \ud83d"
    page = read(write_report(data, tmp_path / "r.html"))
    words = json.loads(page.json)["toi"]["person"]["changes"][0]["contrastive_base"]
    assert words[0] == "broken \ud83d"


def test_each_picture_is_held_once_and_small(tmp_path: Path, data: dict[str, Any]) -> None:
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    uris = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', html)
    assert len(uris) == len(set(uris)) > 20
    image = Image.open(io.BytesIO(base64.b64decode(uris[0])))
    assert image.format == "JPEG"
    assert max(image.size) == 128
    shown = re.findall(r'<use href="#([^"]+)"', html)
    assert set(shown) == set(re.findall(r'<symbol id="([^"]+)"', html))
    assert len(shown) > len(uris), "the same picture stands in several places"


@pytest.mark.parametrize("path", ["nowhere.png", "", None, "pictures", "broken.png", "nul\0.png"])
def test_an_unreadable_picture_is_a_grey_box(
    tmp_path: Path, data: dict[str, Any], path: str | None
) -> None:
    (tmp_path / "broken.png").write_bytes((tmp_path / "pictures" / "0.png").read_bytes()[:90])
    data["toi"]["person"]["changes"][0]["images_base"] = [{"id": "the lost one", "path": path}]
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    (box,) = re.findall(r'<span class="tile missing.*?</span></span>', html)
    assert "the lost one" in box
    assert str(tmp_path) not in html


def test_pictures_may_be_absolute(tmp_path: Path, data: dict[str, Any]) -> None:
    for example in data["steering"]["style"]["examples"]:
        example["image"] = str(tmp_path / example["image"])
    html = write_report(data, tmp_path / "r.html", image_root=tmp_path).read_text("utf-8")
    assert 'class="tile missing' not in html


def test_twenty_concepts_stay_below_five_megabytes(tmp_path: Path) -> None:
    data = build_report(tmp_path, k=20)
    for number, change in enumerate(data["toi"]["person"]["changes"]):
        for side in ("images_base", "images_tuned"):
            for place, one in enumerate(change[side]):
                # Noise is what a JPEG can least shrink; every picture is another one.
                name = f"{number}-{side}-{place}.bmp"
                Image.effect_noise((128, 128), 90).convert("RGB").save(tmp_path / name)
                one["path"] = name
    path = write_report(data, tmp_path / "r.html", image_root=tmp_path)
    assert path.stat().st_size < 5_000_000
    assert path.read_text("utf-8").count("<symbol") > 200


@pytest.mark.parametrize("schema", [2, 0, "1", None])
def test_another_schema_is_refused(tmp_path: Path, data: dict[str, Any], schema: object) -> None:
    with pytest.raises(DataError, match="schema"):
        write_report({**data, "schema": schema}, tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("section", ["title", "models", "versions", "seconds", "toi", "steering"])
def test_a_missing_section_is_named(tmp_path: Path, data: dict[str, Any], section: str) -> None:
    del data[section]
    with pytest.raises(DataError, match=section):
        write_report(data, tmp_path / "r.html")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("models", "tuned"), {}, "models.tuned lacks 'name'"),
        (("toi", "person", "changes", 0, "came"), "snow", r"changes\[0\].came is a str"),
        (("toi", "person", "recovery", "strength"), [0, 1], "one for each of the 2 strengths"),
        (("toi", "person", "rows"), [], "toi.person.rows is a list"),
        (("steering", "style", "examples", 0), "x", r"examples\[0\] is not an object"),
        (("steering", "style", "figures", 0), {}, r"steering.style.figures\[0\] lacks 'label'"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(
    tmp_path: Path, data: dict[str, Any], place: tuple[Any, ...], value: object, said: str
) -> None:
    part: Any = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(DataError, match=said):
        write_report(data, tmp_path / "r.html")


def test_unknown_numbers_are_dashes(tmp_path: Path, data: dict[str, Any]) -> None:
    change = data["toi"]["person"]["changes"][0]
    for name in ("consistency", "magnitude", "overlap", "cosine", "lost", "share"):
        change[name] = math.nan
    data["toi"]["person"]["recovery"]["centred_cosine"]["concept"][2] = math.inf
    page = read(write_report(data, tmp_path / "r.html"))
    assert json.loads(page.json)["toi"]["person"]["changes"][0]["consistency"] is None
    assert "nan" not in page.text.lower().split()
    assert "—" in page.text


def test_what_may_be_absent(tmp_path: Path, data: dict[str, Any]) -> None:
    toi = data["toi"]["person"]
    for name in ("rows_by_text", "recovery_own_text", "published", "shares"):
        del toi[name]
    del toi["recovery"]["t_overlap"]
    toi["concepts"] = {"k": 12}
    data["steering"] = {}
    text = read(write_report(data, tmp_path / "r.html")).text
    assert "Weights or words?" not in text
    assert "Steering the base model" not in text
    assert "Words shared" not in text


def test_the_published_overlap_stands_in(tmp_path: Path, data: dict[str, Any]) -> None:
    del data["toi"]["person"]["recovery"]["t_overlap"]
    assert "Words shared" in read(write_report(data, tmp_path / "r.html")).text


def test_empty_sections_make_a_page(tmp_path: Path, data: dict[str, Any]) -> None:
    page = read(write_report({**data, "toi": {}, "steering": {}}, tmp_path / "r.html"))
    assert "Limits and method" in page.text
    empty = {**data["toi"]["person"], "changes": []}
    read(write_report({**data, "toi": {"person": empty}}, tmp_path / "r.html"))


def test_a_failed_report_leaves_the_old_one(tmp_path: Path, data: dict[str, Any]) -> None:
    path = write_report(data, tmp_path / "r.html")
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_report({**data, "schema": 2}, path)
    assert path.read_bytes() == before
    assert write_report(data, path).read_bytes() == before, "same document, same bytes"


def test_a_report_is_written_without_torch() -> None:
    code = (
        "import sys, shiftlens.reporting.html, shiftlens.reporting.data\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
