"""A comparison as data, and the page for one comparison."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.reporting.builders import build_pictures, build_toi

from shiftlens.activations.site import Site
from shiftlens.activations.tokens import last_prompt, word
from shiftlens.concepts.concepts import Concepts
from shiftlens.data.privacy import HIDDEN, HiddenSample
from shiftlens.data.sample import Sample, Samples
from shiftlens.reporting.data import describe_shift
from shiftlens.reporting.documents import draw_file
from shiftlens.reporting.single import report
from shiftlens.shift.concept_shift import ConceptShift


def _concepts(words: list[tuple[str, ...]], site: Site) -> Concepts:
    return Concepts(
        vectors=torch.arange(12, dtype=torch.float32).reshape(3, 4),
        kind="centroid",
        site=site,
        sizes=(5, 4, 1),
        words=tuple(("man", *some) for some in words),
        contrastive=tuple(words),
        images=(("s0", "s1"), ("s2", "s3"), ("s4", "lost")),
    )


@pytest.fixture
def shift() -> ConceptShift:
    """Three concepts, the last with one sample: its consistency is not defined."""
    site = Site(5, word("man", "woman"))
    toi = build_toi(["x"] * 5, 1)
    return ConceptShift(
        base=_concepts([("beach", "wave"), ("street",), ("grass",)], site),
        tuned=_concepts([("road", "street"), ("snow", "wave"), ("grass",)], site),
        vectors=torch.full((3, 4), 2.0),
        nearest=(1, 0, 0),
        bijective=(1, 0, 2),
        cosine=(0.9, 0.8, 0.7),
        consistency=(0.5, 0.25, float("nan")),
        consistency_published=(0.6, 0.4, 1.0),
        shifted_words=(("snow",), ("road",), ("grass",)),
        lost=(0.0, 0.5, 0.0),
        state_norm=9.0,
        rows={"base": 10, "tuned": 9, "paired": 10},
        recovery={k: v for k, v in toi["recovery"].items() if k != "t_overlap"},
        published=toi["published"],
        labels={f"s{i}": 0 for i in range(10)},
        flow={"counts": [[1, 4, 0], [4, 0, 0], [0, 0, 1]], "base": ["kept"] * 3,
              "tuned": ["kept"] * 3},
        concept_shares=[{"weights": 0.5, "text": 0.25, "cross": 0.25}, None, None],
    )  # fmt: skip


def _samples(root: Path) -> list[Sample]:
    return [
        Sample(f"s{i}", "describe this", (str(root / path),))
        for i, path in enumerate(build_pictures(root, 5))
    ]


def _data(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    assert found is not None
    return json.loads(found.group(1))


def test_the_page_holds_what_the_shift_says(tmp_path: Path, shift: ConceptShift) -> None:
    path = report(shift, tmp_path / "r.html", samples=_samples(tmp_path))
    (toi,) = _data(path)["toi"].values()
    for told, change in zip(toi["changes"], shift.changes(), strict=True):
        for name in ("index", "partner", "nearest", "share", "overlap", "cosine", "magnitude"):
            assert told[name] == getattr(change, name), name
        assert told["words_base"] == list(change.words_base)
        assert [one["id"] for one in told["images_tuned"]] == list(change.images_tuned)
    assert toi["changes"][2]["consistency"] is None
    assert toi["flow"] == shift.flow
    assert toi["concept_shares"] == shift.concept_shares
    assert toi["recovery"] == json.loads(json.dumps(shift.recovery))


def test_a_shift_as_data(shift: ConceptShift) -> None:
    found = describe_shift(shift, {"s0": "a.png", "s2": "b.png"})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    first, _, last = found["changes"]
    assert first["partner"] == 1
    assert first["came"] == ["snow"]
    assert first["went"] == ["beach"]
    assert first["magnitude"] == pytest.approx(4.0)
    assert first["share"] == pytest.approx(0.5)
    assert first["images_base"] == [{"id": "s0", "path": "a.png"}, {"id": "s1", "path": None}]
    assert first["images_tuned"] == [{"id": "s2", "path": "b.png"}, {"id": "s3", "path": None}]
    assert last["consistency"] is None
    assert found["recovery"] == shift.recovery
    assert found["published"] == shift.published
    assert found["recovery_own_text"] is None
    assert found["shares"] is None


def test_the_keys_are_those_of_the_format(shift: ConceptShift) -> None:
    found, written = describe_shift(shift, {}), build_toi(["x"] * 5, 1)
    assert set(found) <= set(written)
    assert set(found["changes"][0]) == set(written["changes"][0])


def test_the_page_of_one_comparison(shift: ConceptShift, tmp_path: Path) -> None:
    samples = Samples(_samples(tmp_path))
    path = report(shift, tmp_path / "out" / "r.html", samples=samples, title="Mine")
    html = path.read_text()
    data = _data(path)
    toi = data["toi"]["man / woman"]
    assert (toi["samples"], toi["layer"], toi["members"]) == (5, 5, ["man", "woman"])
    assert toi["rows"] == {"matched": 10}
    assert "<title>Mine</title>" in html
    assert html.count("<symbol") == 5
    assert "Words shared" in html, "the published overlap"
    assert "Steering the base model" not in html
    assert str(tmp_path) not in html, "where the pictures lie is nobody's business"


def test_without_samples_there_are_words_only(shift: ConceptShift, tmp_path: Path) -> None:
    path = report(shift, tmp_path / "r.html")
    assert _data(path)["toi"]["man / woman"]["samples"] == 10
    assert "<symbol" not in path.read_text()


def test_a_saved_comparison_is_drawn_from_its_file(shift: ConceptShift, tmp_path: Path) -> None:
    shift.save(tmp_path / "shift")
    path = draw_file(tmp_path / "shift.json", tmp_path / "r.html")
    assert _data(path) == _data(report(shift, tmp_path / "s.html"))


def test_other_tokens_have_their_kind_for_a_name(shift: ConceptShift, tmp_path: Path) -> None:
    base = replace(shift.base, site=Site(5, last_prompt()))
    path = report(replace(shift, base=base), tmp_path / "r.html")
    assert list(_data(path)["toi"]) == ["last prompt"]


def test_pictures_without_a_common_folder(shift: ConceptShift, tmp_path: Path) -> None:
    first, *rest = _samples(tmp_path)
    path = report(
        shift, tmp_path / "r.html", samples=[replace(first, images=("elsewhere.png",)), *rest]
    )
    assert path.read_text().count("<symbol") == 4


def test_a_picture_may_lie_anywhere_below(shift: ConceptShift, tmp_path: Path) -> None:
    first, *rest = _samples(tmp_path)
    deep = tmp_path / "deeper" / "p.png"
    deep.parent.mkdir()
    deep.write_bytes(Path(first.images[0]).read_bytes())
    samples = [replace(first, images=(str(deep),)), *rest]
    path = report(shift, tmp_path / "r.html", samples=samples)
    assert path.read_text().count("<symbol") == 5
    assert "deeper/p.png" in json.dumps(_data(path))


def test_hidden_samples_show_no_picture_and_name_none(shift: ConceptShift, tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    page = report(shift, tmp_path / "plain.html", samples=samples).read_text("utf-8")
    assert "data:image/" in page
    hidden = [
        HiddenSample(one.id, one.prompt, one.images, aliases=(f"{HIDDEN}{one.id}",))
        for one in samples
    ]
    page = report(shift, tmp_path / "hidden.html", samples=hidden).read_text("utf-8")
    assert "data:image/" not in page
    assert not any(Path(one.images[0]).name in page for one in samples)
