"""One model on two data sets: what is defined without pairs, and nothing else."""

from pathlib import Path

import pytest
import torch
from tests.builders import build_store
from tests.unit.shift.verdict_data import noise

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.learners.kmeans import KMeans
from shiftlens.core.errors import LearnError, MismatchError
from shiftlens.shift.datasets import DatasetShift, compare_datasets

D, K = 16, 3
CENTRES = 6.0 * noise(K, D, seed=1)


def _store(
    folder: Path, blobs: torch.Tensor, *, push: dict[int, float] | None = None, seed: int = 0
) -> ActivationStore:
    states = CENTRES[blobs] + noise(len(blobs), D, seed=seed)
    for blob, far in (push or {}).items():
        states[blobs == blob] += far * torch.ones(D)
    ids = [f"{folder.name}-{i}" for i in range(len(blobs))]
    return build_store(folder, states, ids=ids)


def _evenly(n: int = 1500) -> torch.Tensor:
    return torch.arange(n) % K


def _compare(first: ActivationStore, second: ActivationStore, **options) -> DatasetShift:
    return compare_datasets(first, second, KMeans(k=K), margin=0.3, draws=20, **options)


def _of(found: DatasetShift, blob: int):
    return found.concepts[int(found.base.assign(CENTRES[blob : blob + 1])[0])]


def test_other_samples_of_the_same_kind_are_stable(tmp_path: Path) -> None:
    found = _compare(
        _store(tmp_path / "a", _evenly(), seed=1), _store(tmp_path / "b", _evenly(), seed=2)
    )
    for blob in range(K):
        one = _of(found, blob)
        assert one.moved.verdict == "stable"
        assert one.share.low < 0 < one.share.high


def test_a_concept_that_lies_elsewhere_is_changed_and_the_others_are_not(tmp_path: Path) -> None:
    found = _compare(
        _store(tmp_path / "a", _evenly(), seed=1),
        _store(tmp_path / "b", _evenly(), push={1: 0.8}, seed=2),
    )
    assert _of(found, 1).moved.verdict == "changed"
    assert _of(found, 1).moved.estimate == pytest.approx(0.8, abs=0.15)
    assert _of(found, 0).moved.verdict == "stable"


def test_a_concept_that_became_rarer_is_told_by_its_share(tmp_path: Path) -> None:
    rare = torch.cat([torch.zeros(20), torch.ones(140), torch.full((140,), 2)]).long()
    found = _compare(
        _store(tmp_path / "a", _evenly(), seed=1), _store(tmp_path / "b", rare, seed=2)
    )
    one = _of(found, 0)
    assert one.share.high < -0.1
    assert one.first == pytest.approx(1 / 3, abs=0.06)
    assert one.second == pytest.approx(20 / 300)
    assert found.to_dict()["rows"] == {"first": 750, "second": 300}


def test_few_samples_decide_nothing(tmp_path: Path) -> None:
    found = _compare(
        _store(tmp_path / "a", _evenly(48), seed=1), _store(tmp_path / "b", _evenly(48), seed=2)
    )
    assert {one.moved.verdict for one in found.concepts} == {"undecided"}


def test_what_is_no_pair_of_data_sets_is_refused(tmp_path: Path) -> None:
    first = _store(tmp_path / "a", _evenly(), seed=1)
    with pytest.raises(MismatchError, match="both stores hold the same data set"):
        _compare(first, first)
    other = build_store(tmp_path / "m", {0: torch.randn(60, D), 1: torch.randn(60, D)})
    with pytest.raises(MismatchError, match="differ in their site"):
        _compare(first, other)
    few = _store(tmp_path / "f", _evenly(12), seed=3)
    with pytest.raises(LearnError, match=r"(?s)second data set has 12 pictures.*at least 20"):
        _compare(first, few)
    with pytest.raises(LearnError, match="margin"):
        compare_datasets(first, few, KMeans(k=K), margin=0.0)
