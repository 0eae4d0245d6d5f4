"""``trajectory``: what is asked, kept, refused; what is found is in the theorems."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_adapter, build_llava

from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import DataError, LearnError, MismatchError, SiteError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.variants import load_variants
from shiftlens.shift.curves import Trajectory
from shiftlens.shift.margins import Margins
from shiftlens.shift.trajectory import SCALES, Step, scales, trajectory

SITE = Site(2, tokens.mean_response())
OPTIONS: dict[str, Any] = {"learner": KMeans(k=2), "max_new_tokens": 3, "draws": 20}


@pytest.fixture(scope="module")
def models(
    tiny_path: Path, tiny_adapter_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Model, ...]:
    """A tiny base and three seeds of a fine-tune of it, in one module."""
    folder = tmp_path_factory.mktemp("seeds")
    seeds = [build_adapter(tiny_path, folder / f"step-{seed}", seed=seed) for seed in (1, 2, 3)]
    return load_variants(tiny_path, seeds)


@pytest.fixture(scope="module")
def samples(pictures: list[Path]) -> Samples:
    """Sixty questions, each about a picture of its own as far as halves are concerned."""
    words = "what is the man dog cat bus on in snow street beach".split()
    asked = [
        Sample(f"s{i}", " ".join(words[: 1 + i % 11]) + (" ?" if i % 2 else " ."), (str(one),))
        for i, one in enumerate(pictures * 10)
    ]
    return Samples(asked)


@pytest.fixture(scope="module")
def apart(samples: Samples, tmp_path_factory: pytest.TempPathFactory) -> Samples:
    folder = tmp_path_factory.mktemp("copies")
    own = [
        replace(one, images=(str(shutil.copy(one.images[0], folder / f"{one.id}.png")),))
        for one in samples
    ]
    return Samples(own, root=folder)


@pytest.fixture(scope="module")
def found(
    models: tuple[Model, ...], apart: Samples, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trajectory, Path]:
    base, *tuned = models
    out = tmp_path_factory.mktemp("trajectory") / "t"
    steps: list[Step] = [(30.0, tuned[2]), (0.0, base), (20.0, tuned[1]), (10.0, tuned[0])]
    margins = Margins.named(0.2)
    return trajectory(base, steps, apart, SITE, out, margins=margins, answers=True, **OPTIONS), out


def test_steps_come_in_rising_order(found: tuple[Trajectory, Path], models) -> None:
    one, _ = found
    assert (one.axis, one.xs) == ("step", (0.0, 10.0, 20.0, 30.0))
    assert [Path(name).name for name in one.names[1:]] == ["step-1", "step-2", "step-3"]
    assert one.names[0] == models[0].name
    assert [m["adapter_weights"] for m in one.about["models"]] == [
        model.identity["adapter_weights"] for model in models
    ]


def test_what_is_left_in_the_directory(
    found: tuple[Trajectory, Path], models, apart: Samples
) -> None:
    one, out = found
    assert Trajectory.load(out / "trajectory.json").to_dict() == one.to_dict()
    assert (out / "scalars.jsonl").read_text().count("\n") == len(list(one.scalars()))
    concepts = Concepts.load(out / "concepts")
    assert [tuple(words) for words in concepts.contrastive] == [c.words for c in one.concepts]
    stores = sorted(path.name for path in (out / "states").iterdir())
    assert stores == ["at-0", "at-10", "at-20", "at-30", "base"]
    base, same = (ActivationStore.open(out / "states" / name) for name in ("base", "at-0"))
    assert base.states().equal(same.states())
    said = models[0].respond(list(apart), max_new_tokens=3)
    assert list(base.responses.values()) == [response.text for response in said]


def test_pictures_are_counted_in_two_halves(found: tuple[Trajectory, Path]) -> None:
    one, _ = found
    held = one.about["pictures"]
    assert held["estimation"] == held["judging"] == 30
    assert sum(concept.pictures for concept in one.concepts) == 30


def test_answers_that_differ_are_counted(
    found: tuple[Trajectory, Path], models, apart: Samples
) -> None:
    assert found[0].answers is not None
    own, other = (
        [one.text.split() for one in model.respond(list(apart), max_new_tokens=3)]
        for model in models[:2]
    )
    share = sum(a != b for a, b in zip(own, other, strict=True)) / len(own)
    assert [one.estimate for one in found[0].answers][:2] == [0.0, pytest.approx(share)]
    assert share > 0


def test_an_interrupted_run_goes_on(
    found: tuple[Trajectory, Path], models, apart: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, out = found
    base, *tuned = models
    monkeypatch.setattr(Model, "respond", lambda *_, **__: pytest.fail("asked again"))
    steps: list[Step] = [(10.0, tuned[0]), (20.0, tuned[1]), (30.0, tuned[2])]
    again = trajectory(base, steps, apart, SITE, out, margins=Margins.named(0.2), **OPTIONS)
    assert again.answers is None
    for before, after in zip(one.concepts, again.concepts, strict=True):
        estimates = [
            [point.estimate for point in each.curves["moved"].points] for each in (before, after)
        ]
        assert estimates[0][1:] == estimates[1]


def test_placebos_are_the_margin(models, apart: Samples, tmp_path: Path) -> None:
    base, *tuned = models
    steps = scales(tuned[0], (0.0, 1.0))
    judged = trajectory(base, steps, apart, SITE, tmp_path, placebos=tuned, **OPTIONS)
    assert judged.margins["source"] == "placebos"
    assert len(judged.margins["placebos"]) == 3
    # The first placebo is the step itself: it is not above the largest placebo.
    assert {one.curves["moved"].first_changed for one in judged.concepts} == {None}
    assert [one.curves["moved"].points[0].verdict for one in judged.concepts] == ["stable"] * 2
    with pytest.raises(DataError, match="margins and placebos were both given"):
        trajectory(
            base, steps, apart, SITE, tmp_path, placebos=tuned, margins=Margins.named(1), **OPTIONS
        )
    with pytest.raises(LearnError, match="2 placebos do not tell"):
        trajectory(base, steps, apart, SITE, tmp_path, placebos=tuned[:2], **OPTIONS)


def test_without_a_margin_nothing_is_judged(models, apart: Samples, tmp_path: Path) -> None:
    judged = trajectory(models[0], scales(models[1], (1,)), apart, SITE, tmp_path, **OPTIONS)
    points = [point for one in judged.concepts for point in one.curves["moved"].points]
    assert {point.verdict for point in points} == {"undecided"}
    assert {point.why for point in points} == {"no margin says what counts as nothing"}


def test_pictures_that_cannot_be_read_are_named(models, apart: Samples, tmp_path: Path) -> None:
    bad = Sample("bad", "what", (str(tmp_path / "none.png"),))
    asked = Samples([bad, *apart])
    judged = trajectory(models[0], scales(models[1], (1,)), asked, SITE, tmp_path / "o", **OPTIONS)
    assert [one["id"] for one in judged.about["quarantine"]] == ["bad"]
    assert judged.about["rows"]["matched"] == 60


def test_scales_are_steps_of_one_adapter(models) -> None:
    assert [x for x, _ in scales(models[1])] == list(SCALES)
    assert [model.adapter_scale for _, model in scales(models[1], (0, 0.3))] == [0.0, 0.3]
    with pytest.raises(DataError, match="no scales"):
        scales(models[1], ())
    for wrong in (-0.1, 1.1):
        with pytest.raises(DataError, match=r"lies outside \[0, 1\]"):
            scales(models[1], (0, wrong))
    with pytest.raises(MismatchError, match="has no adapter that is on"):
        scales(models[0], (0.5,))


def test_impossible_trajectories_are_refused(models, apart: Samples, tmp_path: Path) -> None:
    base, *tuned = models
    with pytest.raises(DataError, match="no steps to follow"):
        trajectory(base, [], apart, SITE, tmp_path, **OPTIONS)
    with pytest.raises(DataError, match="several models are given for step 2"):
        trajectory(base, [(2, tuned[0]), (2, tuned[1])], apart, SITE, tmp_path, **OPTIONS)
    with pytest.raises(DataError, match="not all numbers"):
        trajectory(base, [(float("nan"), tuned[0])], apart, SITE, tmp_path, **OPTIONS)
    steps = scales(tuned[0], (0.0, 1.0))
    with pytest.raises(SiteError, match="a trajectory at 2 layers"):
        trajectory(base, steps, apart, Site((1, 2)), tmp_path, **OPTIONS)
    with pytest.raises(DataError, match="19 refits say nothing"):
        trajectory(base, steps, apart, SITE, tmp_path, **(OPTIONS | {"draws": 19}))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LearnError, match="too few for two halves and 20 concepts"):
        trajectory(base, steps, apart, SITE, tmp_path, **(OPTIONS | {"learner": KMeans(k=20)}))
    with pytest.raises(DataError, match="none of 0 samples can be read"):
        trajectory(base, steps, Samples([]), SITE, tmp_path, **OPTIONS)


def test_fine_tunes_of_another_base_are_refused(
    models, apart: Samples, tmp_path: Path, tiny_path: Path
) -> None:
    wide = load_model(build_llava(tmp_path / "wide", hidden_size=64))
    with pytest.raises(MismatchError, match=r"are not a pair: .*width.* 32 and 64"):
        trajectory(models[0], [(1, wide)], apart, SITE, tmp_path / "o", **OPTIONS)
    other = build_llava(tmp_path / "other", seed=9)
    tuned = load_model(other, adapter=build_adapter(other, tmp_path / "adapter"))
    with pytest.raises(MismatchError, match="is an adapter on other weights"):
        trajectory(models[0], [(1, tuned)], apart, SITE, tmp_path / "o", **OPTIONS)
    # A copy of the base that carries the adapter, and a full model of the same make, are not.
    copy = load_model(tiny_path, adapter=build_adapter(tiny_path, tmp_path / "second", seed=5))
    steps: list[Step] = [(1, copy), (2, load_model(other))]
    judged = trajectory(models[0], steps, apart, SITE, tmp_path / "o", **OPTIONS)
    assert (judged.axis, judged.xs) == ("step", (1.0, 2.0))
    assert judged.everything[1].estimate != judged.everything[0].estimate


def test_samples_of_one_picture_stay_in_one_half(models, samples: Samples, tmp_path: Path) -> None:
    judged = trajectory(models[0], scales(models[1], (1,)), samples, SITE, tmp_path, **OPTIONS)
    assert judged.about["pictures"] == {"estimation": 3, "judging": 3}
    # Three pictures are too few to judge by, however many rows they have.
    points = [one.curves["moved"].points[0] for one in judged.concepts]
    assert {point.verdict for point in points} == {"undecided"}
    assert all("pictures of it to judge by" in point.why for point in points)


def test_the_rng_of_torch_is_left_alone(models, apart: Samples, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    trajectory(models[0], scales(models[1], (1,)), apart, SITE, tmp_path, **OPTIONS)
    assert torch.random.get_rng_state().equal(before)
