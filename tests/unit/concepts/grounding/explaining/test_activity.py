"""Activity is measured against a concept's own rows, and not by how near is near in numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.tokens import word
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.grounding.explaining.activity import (
    Ranges,
    activations,
    activities,
)
from shiftlens.core.errors import LearnError


def _random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _concepts(
    vectors: torch.Tensor, kind: str = "centroid", provenance: Mapping[str, Any] | None = None
) -> Concepts:
    site = Site(0, word("dog"))
    return Concepts(vectors, kind, site, (1,) * len(vectors), provenance=provenance or {})


def _groups(d: int, n: int, seed: int, k: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of k groups far apart, and the group of each."""
    centres, labels = 40 * _random(k, d, seed=99), torch.arange(k * n) % k
    return centres[labels] + _random(k * n, d, seed=seed), labels


def _means(acts: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.stack([acts[labels == at].mean(dim=0) for at in range(int(labels.max()) + 1)])


def _inactive(concepts: Concepts, ranges: Ranges, fresh: torch.Tensor) -> float:
    """Share of rows on which the first concept is called inactive."""
    told = [activities(concepts, row, ranges, 1)[0] for row in activations(concepts, fresh)]
    return sum(one.active is False for one in told) / len(told)


def _rates(tmp_path: Path, *, learned: bool, n: int = 20) -> float:
    """How often fresh rows of the same groups are called inactive, over ten draws."""
    total = 0.0
    for seed in range(10):
        acts, labels = _groups(64, n, seed)
        store = build_store(tmp_path / f"{learned}-{seed}", acts)
        about = {"store": store.fingerprint if learned else "another"}
        concepts = _concepts(_means(acts, labels), provenance=about)
        fresh, _ = _groups(64, 100, 100 + seed)
        total += _inactive(concepts, Ranges.of(concepts, store), fresh) / 10
    return total


def test_fresh_rows_of_the_same_kind_are_seldom_called_inactive(tmp_path: Path) -> None:
    assert 0.02 < _rates(tmp_path, learned=True) < 0.08


def test_twin_rows_that_learned_a_centroid_lie_nearer_to_it(tmp_path: Path) -> None:
    """Taken for held-out rows, they make too many fresh rows inactive."""
    assert _rates(tmp_path, learned=False) > 0.09


def test_what_is_far_from_all_is_inactive_though_some_centroid_is_nearest(tmp_path: Path) -> None:
    acts, labels = _groups(16, 40, 0)
    concepts = _concepts(_means(acts, labels))
    ranges = Ranges.of(concepts, build_store(tmp_path / "s", acts))
    far = 200 * _random(50, 16, seed=5)
    assert _inactive(concepts, ranges, far) == 1.0
    bare = activities(concepts, activations(concepts, far)[0], None, 1)[0]
    assert bare.active is None
    assert bare.above is None
    assert bare.typical is None


def test_only_the_nearest_centroid_can_be_active(tmp_path: Path) -> None:
    acts = torch.cat([_random(30, 8, seed=0), _random(30, 8, seed=1) + 0.5])
    concepts = _concepts(_means(acts, torch.arange(60) // 30))
    ranges = Ranges.of(concepts, build_store(tmp_path / "s", acts))
    first, second = activities(concepts, activations(concepts, acts[:1])[0], ranges, 2)
    assert first.active
    assert second.active is False
    assert second.above is not None
    assert second.above > 0


def test_shards_are_one_store(tmp_path: Path) -> None:
    acts, labels = _groups(8, 20, 0)
    concepts = _concepts(_means(acts, labels))
    one, three = (
        Ranges.of(concepts, build_store(tmp_path / f"{n}", acts, shards=n)) for n in (1, 3)
    )
    assert one.rows == three.rows == 60
    for mine, theirs in zip(one.own, three.own, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=1e-3)


def test_distances_typical_and_share_by_hand(tmp_path: Path) -> None:
    acts = torch.tensor([[float(x), 0.0] for x in (1, 2, 3, 4, 5)] + [[100.0, 0.0]] * 6)
    concepts = _concepts(torch.tensor([[0.0, 0.0], [100.0, 0.0]]))
    ranges = Ranges.of(concepts, build_store(tmp_path / "s", acts))
    assert ranges.held_out
    near, other = activities(
        concepts, activations(concepts, torch.tensor([[2.5, 0.0]]))[0], ranges, 2
    )
    assert (near.concept, near.distance, near.code) == (0, 2.5, None)
    assert near.typical == 3.0
    assert near.above == pytest.approx(3 / 5)
    assert near.margin == pytest.approx((97.5 - 2.5) / 97.5)
    assert other.margin == pytest.approx((2.5 - 97.5) / 2.5)
    assert json.loads(json.dumps(near.to_dict()))["active"] is True


def test_too_few_own_rows_decide_nothing(tmp_path: Path) -> None:
    acts = torch.cat([torch.zeros(4, 2), torch.full((20, 2), 9.0)]) + _random(24, 2, seed=0)
    concepts = _concepts(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    ranges = Ranges.of(concepts, build_store(tmp_path / "s", acts))
    told = activities(concepts, activations(concepts, torch.zeros(1, 2))[0], ranges, 2)
    assert told[0].active is None
    assert told[0].above is None
    assert told[0].typical is not None


def _directions(tmp_path: Path) -> tuple[Concepts, Ranges]:
    acts = torch.cat([_random(100, 3, seed=0).abs() * torch.tensor([3.0, 0.1, 0.01])])
    concepts = _concepts(torch.eye(3), "direction")
    return concepts, Ranges.of(concepts, build_store(tmp_path / "s", acts))


def test_directions_are_measured_by_their_codes(tmp_path: Path) -> None:
    concepts, ranges = _directions(tmp_path)
    state = torch.tensor([[2.0, -1.0, 0.5]])
    told = activities(concepts, activations(concepts, state)[0], ranges, 3)
    assert [one.concept for one in told] == [0, 2]  # a negative code is no activity
    assert (told[0].code, told[0].distance) == (2.0, None)
    assert told[0].margin == pytest.approx(0.75)
    assert told[0].active
    assert told[1].active  # not the largest, but more than ever seen of it


def test_a_direction_that_is_never_the_largest_is_calibrated_too(tmp_path: Path) -> None:
    _, ranges = _directions(tmp_path)
    assert len(ranges.own[2]) == 100 // 3
    assert float(ranges.own[2].max()) < 0.05


def test_no_direction_is_active_on_nothing(tmp_path: Path) -> None:
    concepts, ranges = _directions(tmp_path)
    assert activities(concepts, activations(concepts, torch.zeros(1, 3))[0], ranges, 3) == ()


def test_one_concept_has_no_rival() -> None:
    concepts = _concepts(torch.zeros(1, 2))
    (only,) = activities(concepts, activations(concepts, torch.ones(1, 2))[0], None, 3)
    assert only.margin == 0.0


def test_a_store_of_another_width_is_refused(tmp_path: Path) -> None:
    store: ActivationStore = build_store(tmp_path / "s", torch.zeros(4, 5))
    with pytest.raises(LearnError, match="do not fit these concepts"):
        Ranges.of(_concepts(torch.zeros(2, 3)), store)
