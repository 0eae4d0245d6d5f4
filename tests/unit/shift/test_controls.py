"""Controls: what each of them adds to the concepts."""

import numpy as np
import pytest
import torch
from tests.builders import plant_shift

from shiftlens.shift.controls import (
    affine_shift,
    control_shifts,
    group_means,
    random_partition,
    shuffles,
)
from shiftlens.shift.vectors import shift_vectors


def _controls(seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    base, tuned, labels = plant_shift()
    vectors = torch.stack([base[labels == k].mean(dim=0) for k in range(4)])
    own = shift_vectors(base, tuned, labels, 4)
    return control_shifts(base, tuned, labels, vectors, np.random.default_rng(seed)), own


def test_every_control_has_one_shift_a_concept() -> None:
    found, own = _controls()
    assert set(found) == {"concept", "global", "shuffled", "permuted", "random", "affine"}
    for shifts in found.values():
        assert shifts.shape[1:] == own.shape
    assert found["concept"][0].equal(own)


def test_global_is_one_shift_for_all_and_shuffled_tends_to_it() -> None:
    found, own = _controls()
    everywhere = found["global"][0]
    assert all(row.equal(everywhere[0]) for row in everywhere)
    away = (found["shuffled"] - everywhere).norm(dim=-1).mean()
    assert float(away) < 0.3 * float((own - everywhere).norm(dim=-1).mean())


def test_permuted_gives_the_same_shifts_to_others() -> None:
    found, own = _controls()
    for one in found["permuted"]:
        torch.testing.assert_close(one.sort(dim=0).values, own.sort(dim=0).values)
    assert not all(one.equal(own) for one in found["permuted"])


def test_random_has_the_same_lengths() -> None:
    found, own = _controls()
    lengths = found["random"].norm(dim=-1)
    torch.testing.assert_close(lengths, own.norm(dim=1).expand_as(lengths))
    assert not found["random"].equal(_controls(seed=1)[0]["random"])
    assert found["random"].equal(_controls()[0]["random"])


def test_one_affine_map_is_found() -> None:
    random = torch.Generator().manual_seed(0)
    base = torch.randn(400, 6, generator=random)
    matrix = torch.eye(6) + 0.3 * torch.randn(6, 6, generator=random)
    tuned = base @ matrix + 2.0
    vectors = torch.randn(3, 6, generator=random)
    expected = vectors @ matrix + 2.0 - vectors
    found = affine_shift(base, tuned, vectors)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    with pytest.raises(AssertionError):  # twin: the mean change is not what the map does
        torch.testing.assert_close(
            (tuned - base).mean(dim=0).expand_as(expected), expected, atol=0.05, rtol=0
        )


def test_group_means_are_the_means_of_each_grouping() -> None:
    values = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    groups = torch.stack([torch.arange(30) % 3, torch.arange(30) // 20])
    found = group_means(values, groups, 4)
    assert found.shape == (2, 4, 5)
    for row, labels in zip(found, groups, strict=True):
        for k in range(4):
            mine = values[labels == k]
            expected = mine.mean(dim=0) if len(mine) else torch.zeros(5)
            torch.testing.assert_close(row[k], expected, atol=1e-6, rtol=1e-5)


def test_a_random_partition_keeps_sizes_and_nothing_else() -> None:
    base, tuned, labels = plant_shift(n=2000)
    own = shift_vectors(base, tuned, labels, 4)
    for one in shuffles(labels, np.random.default_rng(0)):
        assert torch.bincount(one).tolist() == torch.bincount(labels).tolist()
        assert not one.equal(labels)
    found = random_partition(base, tuned, labels, 4, np.random.default_rng(0))
    everywhere = (tuned - base).mean(dim=0)
    away = (found.shifts - everywhere).norm(dim=-1).mean()
    assert float(away) < 0.2 * float((own - everywhere).norm(dim=-1).mean())
    # Its vectors are the mean of everything, up to noise: concepts are not in it either.
    middle = (found.vectors - base.mean(dim=0)).norm(dim=-1).mean()
    centres = torch.stack([base[labels == k].mean(dim=0) for k in range(4)])
    assert float(middle) < 0.2 * float((centres - base.mean(dim=0)).norm(dim=1).mean())
