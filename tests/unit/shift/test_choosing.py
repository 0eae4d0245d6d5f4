"""How many concepts: as many as can be found again."""

import pytest
import torch
from tests.unit.shift.verdict_data import planted

from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import LearnError
from shiftlens.shift.choosing import k_by_refits, stability


def test_the_planted_number_is_chosen() -> None:
    split, _ = planted(1200)
    choice = k_by_refits(split.base, KMeans(k=2), grid=(2, 4, 8, 16))
    assert choice.k == 4
    assert choice.stability[4] == 1.0
    assert choice.stability[16] < 0.7
    assert choice.to_dict()["stability"]["4"] == 1.0


def test_a_single_cloud_has_no_stable_number() -> None:
    cloud = torch.randn(600, 16, generator=torch.Generator().manual_seed(0))
    assert stability(cloud, KMeans(k=8)) < 0.5


def test_too_few_rows_are_refused() -> None:
    split, _ = planted(60)
    with pytest.raises(LearnError, match="30 rows are too few to choose"):
        k_by_refits(split.base, KMeans(k=2))
