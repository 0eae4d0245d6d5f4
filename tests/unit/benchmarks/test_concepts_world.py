"""Probes, agreement and the parting of pictures, on states whose factors are planted."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from benchmarks.concepts import agreeing, finding, world
from benchmarks.concepts.agreeing import Effort
from benchmarks.concepts.probing import probe, variance_between
from benchmarks.concepts.world_data import Rows, World
from tests.builders import build_store

EFFORT = Effort(k=4, ks=(4,), seeds=4, most=60, baselines=2)


def _rows(path, seed: int, n: int = 160, *, planted: bool = True) -> Rows:
    """Rows of four places far apart, and a mood that nothing shows."""
    random = np.random.default_rng(seed)
    places = random.integers(0, 4, n)
    noise = torch.from_numpy(random.normal(size=(n, 6))).float()
    states = noise + 6 * torch.eye(6)[torch.from_numpy(places)] if planted else noise
    moods = random.choice(["sad", "happy"], n)
    labels = [{"place": f"p{p}", "mood": m} for p, m in zip(places, moods, strict=True)]
    store = build_store(path, states, labels=labels, images=[f"{at // 2}.png" for at in range(n)])
    return Rows(store, np.arange(n))


@pytest.fixture
def people(tmp_path) -> World:
    model: Any = SimpleNamespace(address=SimpleNamespace(n_layers=1))
    return World(tmp_path, model, _rows(tmp_path / "a", 0), _rows(tmp_path / "b", 1))


def test_a_probe_reads_what_is_planted_and_nothing_else(people: World) -> None:
    place, mood = (probe(people.pool, 0, factor) for factor in ("place", "mood"))
    assert place.decodable
    assert place.accuracy > 0.9
    assert not mood.decodable
    assert place.figure(3).name == "block 3: place read by a probe"


def test_variance_between_groups_is_none_by_chance_and_all_where_groups_are_points() -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 8, 400).astype(str)
    assert abs(variance_between(random.normal(size=(400, 30)), values)) < 0.01
    points = np.eye(8)[values.astype(int)]
    assert variance_between(points, values) == pytest.approx(1)


def test_halves_share_no_picture_and_keep_to_the_limit(people: World) -> None:
    first, second = people.halves(people.pool, 0, 50)
    assert not set(first.pictures) & set(second.pictures)
    assert len(first.numbers) == len(second.numbers) == 50
    again, _ = people.halves(people.pool, 0, 50)
    other, _ = people.halves(people.pool, 1, 50)
    assert first.numbers.tolist() == again.numbers.tolist() != other.numbers.tolist()


@pytest.fixture
def few_learners(monkeypatch) -> None:
    """K-means alone: factoring takes its time."""
    monkeypatch.setattr(agreeing, "JUDGED", {"k-means": agreeing.kmeans_options})
    monkeypatch.setattr(
        agreeing, "usual", lambda k: {"k-means": agreeing.kmeans_options([k])[0].make}
    )


def test_concepts_agree_with_what_is_planted(people: World, few_learners) -> None:
    figures = agreeing.figures_of(people, 0, ["place"], EFFORT)
    assert [one.holds for one in figures] == [True, None]
    assert agreeing.figures_of(people, 0, [], EFFORT) == []


def test_twin_nothing_is_agreed_with_where_nothing_is_planted(
    tmp_path, people: World, few_learners
) -> None:
    empty = World(
        people.root,
        people.model,
        _rows(tmp_path / "c", 2, planted=False),
        _rows(tmp_path / "d", 3, planted=False),
    )
    figures = agreeing.figures_of(empty, 0, ["place"], EFFORT)
    assert [one.holds for one in figures] == [False, None]


def test_every_option_is_another_learner() -> None:
    options = [*agreeing.kmeans_options(), *agreeing.sparse_options()]
    assert len({one.text for one in options}) == len(options)
    assert len({one.make(0) for one in options}) == len(options)
    for one in options:
        assert one.make(1).k == one.random(1).k
        assert one.make(1).space_name == one.random(1).space_name
        assert one.make(1) != one.make(2)


def test_the_usual_learners_have_the_seed() -> None:
    for make in agreeing.usual(4).values():
        assert make(3).seed == 3
        assert make(3).k == 4


def test_an_interval_over_seeds_needs_two() -> None:
    one = agreeing.over_seeds(np.asarray([0.5]))
    assert one.low == -np.inf
    many = agreeing.over_seeds(np.asarray([0.4, 0.5, 0.6]))
    assert many.estimate == pytest.approx(0.5)
    assert many.low < 0.4


def test_masks_hold_every_subject() -> None:
    from shiftlens.world.scenes import sample_scenes

    scene = sample_scenes(1, count=2, subject="dog", seed=0)[0]
    mask = finding.mask_of(cast(Any, SimpleNamespace(labels=scene.record())))
    assert mask.shape == (96, 96)
    assert 0.05 < mask.mean() < 0.8


def test_chance_that_never_wins_is_said() -> None:
    nothing = np.zeros(3)
    figure = finding._times("x", np.ones(3), nothing, ">= 2", "y")
    assert figure.holds is False or np.isnan(figure.value)
    assert "chance never wins" in figure.how


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::shiftlens.concepts.learning.DominantDimensions")
def test_a_block_of_the_world_and_its_heat_maps(tmp_path, few_learners) -> None:
    drawn = World.open(tmp_path, 50, 50)
    figures = world.of_block(drawn, 5, Effort(k=4, ks=(4,), seeds=2, most=40, baselines=1))
    names = " ".join(one.name for one in figures)
    assert "place read by a probe" in names
    assert "words name a majority value" in names
    hunt = finding.open_hunt(drawn.model, tmp_path, n=24, k=3, parts=(3, 2, 3))
    judged = {sample.id for sample in hunt.judging}
    for others in (hunt.learning, hunt.calibrating, hunt.choosing):
        assert not judged & {sample.id for sample in others}
    maps = finding.figures_of(hunt, (5,))
    assert [one.goal for one in maps] == [">= 2", "", "", ""]
