"""Scenes and their pictures: reproducible, disjoint by split, with masks that fit."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shiftlens.core.errors import DataError
from shiftlens.data.reading import read
from shiftlens.world.render import SIZE, render
from shiftlens.world.scenes import (
    OBJECTS,
    PLACES,
    SPLITS,
    SUBJECTS,
    Scene,
    actions_of,
    sample_scenes,
)
from shiftlens.world.source import materialise


def _pixels(scene: Scene) -> bytes:
    return render(scene).image.tobytes()


@pytest.mark.parametrize("split", SPLITS)
def test_a_record_draws_the_same_picture_to_the_pixel(split: str) -> None:
    for scene in sample_scenes(6, split=split, seed=3):
        again = Scene.from_record({**scene.record(), "kind": "caption", "anything": 1})
        assert again == scene
        assert _pixels(again) == _pixels(scene)


def test_twin_another_seed_draws_another_one() -> None:
    for scene in sample_scenes(6, seed=3):
        assert _pixels(replace(scene, seed=scene.seed + 1)) != _pixels(scene)


def test_each_factor_can_be_seen() -> None:
    scene = sample_scenes(1, seed=0, subject="dog", place="snow", color="red", count=2)[0]
    changes = {"place": "street", "color": "blue", "count": 3, "action": "sitting"}
    scene = replace(scene, action="standing", mood="happy", extra=None)
    for factor, value in {**changes, "mood": "sad", "subject": "cat", "extra": "ball"}.items():
        assert _pixels(replace(scene, **{factor: value})) != _pixels(scene), factor


def test_masks_lie_inside_their_boxes_and_do_not_overlap() -> None:
    seen: Counter[str] = Counter()
    for scene in [*sample_scenes(40, seed=1), *sample_scenes(10, seed=2, count=4)]:
        picture = render(scene)
        assert picture.image.size == (SIZE, SIZE)
        names = {f"subject-{i}" for i in range(scene.count)} | ({"extra"} if scene.extra else set())
        assert set(picture.masks) == names
        total = np.zeros((SIZE, SIZE), dtype=int)
        for name, mask in picture.masks.items():
            total += mask
            if not mask.any():
                assert name not in picture.boxes
                continue
            left, top, right, bottom = picture.boxes[name]
            outside = mask.copy()
            outside[top:bottom, left:right] = False
            assert not outside.any()
            assert mask[top].any() and mask[bottom - 1].any()  # noqa: PT018
            assert mask[:, left].any() and mask[:, right - 1].any()  # noqa: PT018
            seen[name.split("-")[0]] += 1
        assert total.max() <= 1
    assert seen["subject"] > 80
    assert seen["extra"] > 5


def test_every_subject_can_be_seen() -> None:
    for subject in SUBJECTS:
        scene = sample_scenes(1, seed=0, subject=subject, count=1)[0]
        assert render(scene).masks["subject-0"].sum() > 60, subject


def test_splits_are_disjoint() -> None:
    scenes = {split: sample_scenes(400, split=split, seed=0) for split in SPLITS}
    seeds = {split: {s.seed for s in found} for split, found in scenes.items()}
    assert not seeds["train"] & seeds["held_out"]
    assert not seeds["train"] & seeds["combinations"]
    assert not seeds["held_out"] & seeds["combinations"]
    for split, found in scenes.items():
        assert {s.split for s in found} == {split}


def test_combinations_that_were_held_out_are_never_trained() -> None:
    def is_odd(scene: Scene) -> bool:
        pairs = {("horse", "beach"), ("cat", "snow"), ("dog", "purple"), ("cat", "green")}
        return bool({(scene.subject, scene.place), (scene.subject, scene.color)} & pairs)

    for split in ("train", "held_out"):
        assert not any(is_odd(s) for s in sample_scenes(3000, split=split, seed=1))
        with pytest.raises(DataError, match="found 0 of 1 scenes"):
            sample_scenes(1, split=split, subject="cat", place="snow")
    odd = sample_scenes(300, split="combinations", seed=1)
    assert all(s.is_unseen_combination for s in odd)
    assert any(is_odd(s) for s in odd)


def test_same_seed_same_scenes() -> None:
    assert sample_scenes(20, seed=5) == sample_scenes(20, seed=5)
    assert sample_scenes(20, seed=5) != sample_scenes(20, seed=6)
    assert sample_scenes(10, seed=5) == sample_scenes(20, seed=5)[:10]


def test_scenes_are_possible() -> None:
    for scene in sample_scenes(500, seed=9):
        assert scene.action in actions_of(scene.subject)
        assert 1 <= scene.count <= 4
        if scene.subject in OBJECTS:
            assert (scene.count, scene.extra) == (1, None)


def test_impossible_scenes_are_refused() -> None:
    with pytest.raises(DataError, match="unknown split 'test'"):
        sample_scenes(1, split="test")
    with pytest.raises(DataError, match="no factor 'colour'"):
        sample_scenes(1, colour="red")
    with pytest.raises(DataError, match="lacks place"):
        Scene.from_record({k: v for k, v in sample_scenes(1)[0].record().items() if k != "place"})


def test_a_collection_is_a_folder_that_can_be_read(tmp_path: Path) -> None:
    path = materialise("people", tmp_path / "p", n=6, seed=1)
    samples = read(path)
    assert len(samples) == 6
    assert samples[0].prompt == "Describe the picture."
    for sample in samples:
        scene = Scene.from_record(dict(sample.labels))
        with open(sample.images[0], "rb") as stream:  # noqa: PTH123
            assert stream.read(4) == b"\x89PNG"
        assert scene.split == "held_out"
        assert scene.count == 1
        assert scene.place in PLACES
    again = read(materialise("people", tmp_path / "q", n=6, seed=1))
    assert again.fingerprint == samples.fingerprint
    other = read(materialise("people", tmp_path / "r", n=6, seed=2))
    assert other.fingerprint != samples.fingerprint


@pytest.mark.parametrize("name", ["yesno", "number", "other", "requests", "ambiguous", "dog"])
def test_every_collection_has_what_it_promises(tmp_path: Path, name: str) -> None:
    labels = [s.labels for s in read(materialise(name, tmp_path, n=5, seed=0))]
    assert len(labels) == 5
    if name in ("yesno", "number", "other"):
        assert all(one["kind"] == name and one["answer"] for one in labels)
    if name == "requests":
        assert all(one["object"] == one["subject"] and "dangerous" in one for one in labels)
    if name == "ambiguous":
        places = Counter(one["place"] for one in labels)
        assert {one["subject"] for one in labels} == {"person"}
        assert places["kitchen"] >= 2
        assert places["street"] >= 2


def test_unknown_collections_and_no_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no collection 'animals'") as caught:
        materialise("animals", tmp_path, n=1, seed=0)
    assert "people" in str(caught.value)
    with pytest.raises(DataError, match="cannot draw 0 samples"):
        materialise("people", tmp_path, n=0, seed=0)
    assert random.Random(0).random() == pytest.approx(0.8444218515250481)
