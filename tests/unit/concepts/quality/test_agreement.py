"""Agreement with known factors: mutual information, purity, and their chance levels."""

import numpy as np
import pytest
import torch
from tests.unit.concepts.quality.planted import blobs

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.concepts.quality.agreement import (
    adjusted_rand,
    agreement,
    agreement_figure,
    purity,
    purity_figure,
)
from shiftlens.concepts.quality.factor_table import factor_table
from shiftlens.core.errors import LearnError

_FACTOR = ["beach", "snow", "street"] * 40


def _perfect() -> torch.Tensor:
    return torch.tensor([2, 0, 1] * 40)


def _random(k: int = 3, n: int = 120, seed: int = 0) -> torch.Tensor:
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(seed))


def test_a_perfect_assignment_is_pure_and_agrees() -> None:
    assert purity(_perfect(), _FACTOR) == 1
    assert agreement(_perfect(), _FACTOR) == pytest.approx(1)
    assert adjusted_rand(_perfect(), _FACTOR) == pytest.approx(1)


def test_purity_counts_the_commonest_value_of_each_concept() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, -1])
    assert purity(labels, ["a", "a", "b", "b", "b", "a"]) == pytest.approx(5 / 6)


def test_many_concepts_are_pure_by_chance_and_the_chance_level_says_so() -> None:
    found = purity_figure(_random(k=40), _FACTOR, name="place")
    assert found.value.estimate > 0.5, "three values, so a third would be chance for few concepts"
    chance = found.beside("chance")
    assert chance.difference is not None
    assert chance.value.low < found.value.estimate < chance.value.high
    assert chance.difference.low < 0 < chance.difference.high
    # Twin: what agrees lies far above it.
    true = purity_figure(_perfect(), _FACTOR, name="place").beside("chance")
    assert true.difference is not None
    assert true.difference.low > 0.4


def test_random_assignments_agree_with_nothing() -> None:
    found = agreement_figure(_random(), _FACTOR, name="place")
    assert found.value.low < 0.02
    assert abs(found.value.estimate) < 0.05
    assert found.name == "AMI with place"


def test_the_interval_of_mutual_information_has_about_the_right_width() -> None:
    """Against the spread over fresh data of the same kind."""

    def draw(seed: int) -> tuple[torch.Tensor, list[int]]:
        random = np.random.default_rng(seed)
        values = random.integers(0, 3, 150)
        wrong = random.random(150) < 0.4
        labels = np.where(wrong, random.integers(0, 3, 150), values)
        return torch.from_numpy(labels), values.tolist()

    fresh = np.std([agreement(*draw(seed)) for seed in range(60)])
    found = agreement_figure(*draw(100), name="x").value
    assert found.high - found.low == pytest.approx(2 * 1.96 * fresh, rel=0.45)


def test_beside_other_assignments_of_the_same_rows() -> None:
    options = {"name": "place", "baselines": {"random": [_random(seed=1), _random(seed=2)]}}
    for measure in (agreement_figure, purity_figure):
        difference = measure(_perfect(), _FACTOR, **options).beside("random").difference
        assert difference is not None
        assert difference.low > 0.3
        null = measure(_random(seed=3), _FACTOR, **options).beside("random").difference
        assert null is not None
        assert null.low < 0 < null.high


def test_chance_keeps_rows_of_a_picture_together() -> None:
    """Concepts that split by picture are pure by chance when pictures hold one value each."""
    groups = [f"p{row // 10}" for row in range(120)]
    values = [f"v{(row // 10) % 2}" for row in range(120)]
    labels = torch.arange(120) // 10
    together = purity_figure(labels, values, name="x", groups=groups).beside("chance")
    apart = purity_figure(labels, values, name="x").beside("chance")
    assert together.value.estimate == 1
    assert apart.value.estimate < 0.8


def test_bad_input_is_refused() -> None:
    for measure in (agreement, purity, adjusted_rand):
        with pytest.raises(LearnError, match="120 rows with 3 values"):
            measure(_perfect(), _FACTOR[:3])
        with pytest.raises(LearnError, match="no rows"):
            measure(_perfect()[:0], [])
    with pytest.raises(LearnError, match="interval from 3 units"):
        agreement_figure(_perfect()[:3], _FACTOR[:3], name="x")


def test_the_table_has_a_row_for_every_learner_layer_k_and_factor() -> None:
    states, labels = blobs(n=60)
    noise = torch.randn(60, 12, generator=torch.Generator().manual_seed(3))
    factors = {"group": labels.tolist(), "coin": [row // 3 % 2 for row in range(60)]}
    table = factor_table({0: noise, 1: states}, factors, [KMeans()], [2, 3], n_seeds=3)
    cells = {(one.learner, one.layer, one.k, one.factor): one for one in table}
    assert len(cells) == len(table) == 2 * 2 * 2
    best = cells["kmeans", 1, 3, "group"]
    assert best.ami.estimate == pytest.approx(1)
    assert best.purity.estimate == pytest.approx(1)
    assert best.purity_gain.low > 0.4
    # Twins: another layer, and another factor, hold nothing.
    for layer, factor in ((0, "group"), (1, "coin")):
        assert abs(cells["kmeans", layer, 3, factor].ami.estimate) < 0.15
    assert best.to_dict()["ami"]["estimate"] == pytest.approx(1)


def test_an_impossible_table_is_refused() -> None:
    states, labels = blobs(n=30)
    factors = {"group": labels.tolist()}
    with pytest.raises(LearnError, match="over 1 seeds"):
        factor_table({0: states}, factors, [KMeans()], [2], n_seeds=1)
    with pytest.raises(LearnError, match="empty table"):
        factor_table({0: states}, {}, [KMeans()], [2])
