"""Maps that know where the thing is are told from maps that only know where things mostly are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.reporting.heat import heat_checks
from shiftlens.study.heat_checking import checked
from shiftlens.world.render import render
from shiftlens.world.scenes import Scene
from shiftlens.world.source import materialise


def _samples(root: Path, n: int = 24) -> dict[str, Sample]:
    """Pictures of 80 x 60 pixels, each with a thing of 20 x 20 somewhere about the middle."""
    rng, path = np.random.default_rng(0), root / "p.png"
    Image.new("RGB", (80, 60)).save(path)
    found: dict[str, Sample] = {}
    for number in range(n):
        left, top = int(rng.integers(15, 46)), int(rng.integers(10, 31))
        box = [left, top, left + 20, top + 20]
        found[f"s{number}"] = Sample(f"s{number}", "?", (str(path),), labels={"box": box})
    return found


def _heat(sample: Sample, *, knows: bool, rng: np.random.Generator) -> dict[str, Any]:
    levels = rng.random((6, 8)) * 20
    left, top = sample.labels["box"][:2] if knows else (30, 20)
    levels[top // 10 : top // 10 + 2, left // 10 : left // 10 + 2] += 80
    return {"largest": 1.0, "levels": levels.round().astype(int).tolist()}


def _maps(samples: dict[str, Sample], *, knows: bool) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [{name: _heat(one, knows=knows, rng=rng)} for name, one in samples.items()]


def test_maps_that_find_the_thing_are_above_maps_of_other_pictures(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    found = checked(_maps(samples, knows=True), samples)
    assert found is not None
    assert found["n"] == 24
    assert found["above"]["low"] > 0
    assert found["flat"]["estimate"] == pytest.approx(400 / 4800)
    (said,) = heat_checks({"check": {"base": found}})
    assert said.endswith("find the thing better than chance.")


def test_twin_maps_that_only_know_the_middle_are_not(tmp_path: Path) -> None:
    samples = _samples(tmp_path)
    found = checked(_maps(samples, knows=False), samples)
    assert found is not None
    assert found["above"]["low"] <= 0 <= found["above"]["high"]
    assert found["inside"]["low"] > found["flat"]["high"], "which a flat map would have hidden"
    (said,) = heat_checks({"check": {"tuned": found}})
    assert "NOT surely more than chance" in said


def test_a_square_that_the_box_cuts_counts_by_its_part(tmp_path: Path) -> None:
    samples = _samples(tmp_path, 5)
    for name, one in samples.items():
        samples[name] = Sample(name, "?", one.images, labels={"box": [0, 0, 30, 60]})
    even: list[dict[str, Any]] = [{name: {"levels": [[50, 50]]}} for name in samples]
    found = checked(even, samples)
    assert found is not None
    # Three quarters of the left half of the picture.
    assert found["inside"]["estimate"] == pytest.approx(0.375)
    assert found["above"] == {"estimate": 0, "low": 0, "high": 0}


def test_without_places_or_with_few_pictures_nothing_is_checked(tmp_path: Path) -> None:
    samples = _samples(tmp_path, 4)
    assert checked(_maps(samples, knows=True), samples) is None
    bare = {name: Sample(name, "?", one.images) for name, one in _samples(tmp_path).items()}
    assert checked([{name: {"levels": [[1]]}} for name in bare], bare) is None
    assert heat_checks({"check": {"base": None, "tuned": None}}) == ()


def test_samples_of_the_world_say_where_their_subjects_stand(tmp_path: Path) -> None:
    for one in read(materialise("captions", tmp_path, n=8, seed=1)):
        scene = Scene.from_record(dict(one.labels))
        masks = [mask for name, mask in render(scene).masks.items() if name != "extra"]
        rows, cols = np.nonzero(np.any(masks, axis=0))
        left, top, right, bottom = one.labels["box"]
        assert left <= cols.min()
        assert cols.max() <= right
        assert top <= rows.min()
        assert rows.max() <= bottom
        assert (right - left) * (bottom - top) < masks[0].size
