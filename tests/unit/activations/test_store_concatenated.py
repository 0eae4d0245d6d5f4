"""Stores of one model on several data sets as one store."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.store import ActivationStore, paired
from shiftlens.core.errors import MismatchError, StoreError


def _store(path: Path, n: int, *, seed: int = 0, name: str = "a", **options: Any) -> Any:
    states = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    ids = [f"{name}{i}" for i in range(n)]
    return build_store(path / name, states, ids=ids, data=name, shards=2, **options), states


@pytest.fixture
def both(tmp_path: Path) -> tuple[list[ActivationStore], torch.Tensor]:
    a, left = _store(tmp_path, 7)
    b, right = _store(tmp_path / "deep" / "er", 5, seed=1, name="b")
    return [a, b], torch.cat([left, right])


def test_rows_stand_one_after_the_other(both: tuple[list[ActivationStore], torch.Tensor]) -> None:
    stores, states = both
    whole = ActivationStore.concatenate(stores)
    assert len(whole) == 12
    assert torch.equal(whole.states(), states)
    assert torch.equal(whole.gather([11, 0, 7]), states[[11, 0, 7]])
    assert whole.sample_ids == [*(f"a{i}" for i in range(7)), *(f"b{i}" for i in range(5))]
    assert whole.counts["matched"] == 12
    assert whole.responses["b4"] == "a dog"
    assert whole.path == stores[0].path.parent
    whole.verify()


def test_a_concatenated_store_is_concatenated(
    both: tuple[list[ActivationStore], torch.Tensor],
) -> None:
    (a, b), states = both
    whole = ActivationStore.concatenate([ActivationStore.concatenate([a, b]).at_rows([8, 0]), b])
    assert torch.equal(whole.states(), states[[8, 0, *range(7, 12)]])
    assert whole.sample_ids == ["b1", "a0", "b0", "b1", "b2", "b3", "b4"]


def test_the_fingerprint_knows_what_and_in_which_order(
    both: tuple[list[ActivationStore], torch.Tensor],
) -> None:
    a, b = both[0]
    found = [ActivationStore.concatenate(some).fingerprint for some in ([a, b], [b, a], [a, a])]
    assert len({*found, a.fingerprint, b.fingerprint}) == 5
    assert ActivationStore.concatenate([a, b]).fingerprint == found[0]
    assert ActivationStore.concatenate([a]).fingerprint == a.fingerprint
    assert ActivationStore.concatenate([a]).provenance == a.provenance


def test_views_are_concatenated_as_they_are(
    both: tuple[list[ActivationStore], torch.Tensor],
) -> None:
    (a, b), states = both
    whole = ActivationStore.concatenate([a, b.at_rows([4, 1]), a.at_rows([2])])
    assert torch.equal(whole.states(), states[[*range(7), 11, 8, 2]])
    assert whole.sample_ids[-3:] == ["b4", "b1", "a2"]
    first, second = paired(whole, ActivationStore.concatenate([b]))
    assert first.sample_ids == second.sample_ids == ["b4", "b1"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"model": {"weights": "others"}}, "model.weights: 'others', not 'weights'"),
        ({"text": {"weights": "x"}}, "text: "),
    ],
)
def test_stores_of_other_things_are_refused_by_field(
    tmp_path: Path, options: dict[str, Any], field: str
) -> None:
    a, _ = _store(tmp_path, 7)
    b, _ = _store(tmp_path, 5, name="b", **options)
    with pytest.raises(MismatchError, match=f"another {field}") as caught:
        ActivationStore.concatenate([a, b])
    assert str(caught.value).endswith("stores that differ in their data alone")


def test_another_site_is_refused(tmp_path: Path) -> None:
    a, _ = _store(tmp_path, 7)
    b, _ = _store(tmp_path, 5, name="b")
    manifest = read_manifest(b.path)
    manifest.identity["site"]["layer"] = 3
    manifest.write()
    with pytest.raises(MismatchError, match=r"another site.layer: 3, not 0"):
        ActivationStore.concatenate([a, ActivationStore.open(b.path)])


def test_no_stores_are_no_store() -> None:
    with pytest.raises(MismatchError, match="no stores to concatenate"):
        ActivationStore.concatenate([])


def test_two_samples_of_one_id_are_not_silently_one(tmp_path: Path) -> None:
    a, _ = _store(tmp_path / "1", 3, responses=["a dog"] * 3)
    b, _ = _store(tmp_path / "2", 3, responses=["a cat"] * 3)
    whole = ActivationStore.concatenate([a, b])
    assert [row.response for row in whole.rows] == ["a dog"] * 3 + ["a cat"] * 3
    with pytest.raises(StoreError, match=r"two samples of .* are called 'a0'"):
        whole.responses  # noqa: B018
    assert ActivationStore.concatenate([a, a]).responses["a0"] == "a dog"
