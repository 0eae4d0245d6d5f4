"""A whole diff on the shipped pair: small, and true in what it says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from shiftlens.core.errors import DataError, LearnError, MismatchError
from shiftlens.data.reading import read
from shiftlens.data.sample import Samples
from shiftlens.models.model import Model
from shiftlens.shift.concept_shift import ConceptShift
from shiftlens.study.diff.running import Diff, diff
from shiftlens.study.diff.settings import DiffSettings
from shiftlens.world.source import materialise

pytestmark = pytest.mark.slow

SETTINGS = DiffSettings(
    k=3, margin=0.3, draws=20, kind_draws=10, n_examined=1, n_restored=12, max_new_tokens=20,
    batch_size=60, n_words=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("world") / "captions"
    return read(materialise("captions", folder, n=120, seed=5))


@pytest.fixture(scope="module")
def shipped(_pair: tuple[Model, Model]) -> tuple[Model, Model]:
    return _pair


@pytest.fixture(scope="module")
def found(
    shipped: tuple[Model, Model], samples: Samples, tmp_path_factory: pytest.TempPathFactory
) -> Diff:
    return diff(*shipped, samples, tmp_path_factory.mktemp("diff") / "out", settings=SETTINGS)


def test_the_document_is_what_lies_on_the_disk(found: Diff) -> None:
    assert json.loads((found.root / "diff.json").read_text("utf-8")) == found.document
    assert found.document["kind"] == "diff"
    assert found.document["data"]["parts"] == {
        "selection": 40, "estimation": 40, "judging": 40,
    }  # fmt: skip


def test_nearly_every_answer_changed_and_they_part_where_the_base_ends(found: Diff) -> None:
    answers = found.document["answers"]
    assert answers["changed"]["estimate"] > 0.9
    assert answers["changed"]["low"] > 0.8
    assert found.document["ranking"][0]["name"] == "end of the answer"
    assert found.document["site"]["tokens"] == {"kind": "end of response"}
    assert len(answers["examples"][0]["divergence"]) > 1


def test_concepts_changed_and_none_is_called_stable(found: Diff) -> None:
    concepts = found.document["concepts"]
    assert len(concepts) == 3
    judged = [one["moved"]["verdict"] for one in concepts if one["pictures"] >= 10]
    assert "changed" in judged
    assert "stable" not in judged
    for one in concepts:
        assert one["moved"]["margin"] == 0.3
        assert one["visible"]["effect"]
    assert sum(one["share"] for one in concepts) == pytest.approx(1.0)


def test_the_drift_is_told_for_every_block(found: Diff) -> None:
    layers = [one["layer"] for one in found.document["by_layer"]]
    assert layers == sorted(layers) == found.document["site"]["layers"]
    assert found.document["by_layer"][-1]["moved"]["low"] > 0


def test_the_shift_is_kept_and_steers(found: Diff) -> None:
    shift = ConceptShift.load(found.root / "shift")
    assert len(shift) == 3
    assert shift[0].vector.layer == found.document["site"]["layer"]


def test_a_second_run_gives_the_same_answer(
    found: Diff, shipped: tuple[Model, Model], samples: Samples
) -> None:
    again = diff(*shipped, samples, found.root, settings=SETTINGS)
    left, right = dict(found.document), dict(again.document)
    assert left.pop("seconds") > right.pop("seconds"), "answers and states are not made again"
    assert left == right


def test_without_pictures_no_path_is_written(
    found: Diff, shipped: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    # Elsewhere: the ids of the samples are made of their pictures' names, and are others without.
    bare = diff(*shipped, samples, tmp_path / "bare", settings=replace(SETTINGS, images=False))
    text = (bare.root / "diff.json").read_text("utf-8")
    assert ".png" not in text
    assert ".png" in json.dumps(found.document), "twin: with pictures there are paths"


def test_other_data_in_the_same_place_are_refused(
    found: Diff, shipped: tuple[Model, Model], samples: Samples
) -> None:
    with pytest.raises(MismatchError, match="another data"):
        diff(*shipped, samples[:90], found.root, settings=SETTINGS)


def test_too_few_pictures_are_refused(
    shipped: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"(?s)12 pictures are too few.*at least 60"):
        diff(*shipped, samples[:12], tmp_path, settings=SETTINGS)


def test_a_word_that_hardly_occurs_is_refused_with_its_number(
    shipped: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    rare = DiffSettings(words=("bird",), k=12, margin=0.3, max_new_tokens=20, batch_size=60)
    with pytest.raises(LearnError, match="third are too few for 12 concepts"):
        diff(*shipped, samples, tmp_path, settings=rare)


@pytest.mark.parametrize(
    ("name", "value"), [("draws", 5), ("kind_draws", 1), ("batch_size", 0), ("k", 1)]
)
def test_impossible_settings_are_refused(name: str, value: int) -> None:
    with pytest.raises(DataError, match=f"{name} = {value}"):
        DiffSettings(**{name: value})
