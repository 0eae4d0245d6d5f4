"""Effects without the bias of noise: what is zero is around zero, what is planted is found."""

import pytest
import torch
from tests.unit.shift.verdict_data import D, K, noise, planted

from shiftlens.shift.effects import Cells, Everywhere, effects, group_numbers, pictures


def _cells(base, delta, labels, groups=None, k=K) -> Cells:
    numbers = torch.arange(len(base)) if groups is None else groups
    return Cells.of(base, delta, labels, numbers, k)


def _nothing() -> Everywhere:
    return Everywhere(torch.zeros(D).double(), 0.0)


def test_pure_noise_has_an_effect_around_zero_and_the_plain_norm_has_not() -> None:
    found, plain = [], []
    for seed in range(40):
        split, blobs = planted(80, seed=seed)
        cells = _cells(split.judging_base, split.judging_delta, blobs)
        moved = effects(cells, K, _nothing())[:, 0]
        found.append((moved.sign() * moved.square()).mean())
        means = torch.stack([split.judging_delta[blobs == i].mean(dim=0) for i in range(K)])
        plain.append(means.square().sum(dim=1).mean() / D)
    assert abs(float(torch.stack(found).mean())) < 1e-3
    assert float(torch.stack(plain).mean()) > 5e-3  # twin: what the norm of a mean would say


def test_a_planted_move_is_found_in_spreads() -> None:
    split, blobs = planted(moved={1: 0.5})
    everywhere = Everywhere.of(split.delta, split.groups)
    found = effects(_cells(split.judging_base, split.judging_delta, blobs), K, everywhere)
    assert float(found[1, 0]) == pytest.approx(0.5, abs=0.05)
    # A quarter of the samples moved: the global shift is a quarter of it, the rest is its own.
    assert float(found[1, 1]) == pytest.approx(0.375, abs=0.05)
    assert float(found[0, 1]) == pytest.approx(0.125, abs=0.05)
    assert float(found[0, 0].abs()) < 0.1


def test_states_that_are_the_same_bits_have_not_moved_at_all() -> None:
    split, blobs = planted(wobble=0.0)
    cells = _cells(split.judging_base, split.judging_delta, blobs)
    assert effects(cells, K, Everywhere.of(split.delta, split.groups)).abs().max() == 0
    other, _ = planted(wobble=0.01)  # twin: the smallest change is seen
    there = _cells(other.judging_base, other.judging_delta, blobs)
    assert effects(there, K, Everywhere.of(other.delta, other.groups)).abs().max() > 0


def test_many_rows_of_one_picture_do_not_prove_its_noise() -> None:
    base, delta = noise(20, D, seed=1), noise(20, D, seed=2)
    one = torch.zeros(200, dtype=torch.long)
    rows = torch.arange(20).repeat_interleave(10)  # ten questions about each picture
    honest = effects(_cells(base[rows], delta[rows], one, rows, 1), 1, _nothing())
    fooled = effects(_cells(base[rows], delta[rows], one, None, 1), 1, _nothing())
    assert float(fooled[0, 0]) > 0.15, "twin: as pictures of their own they look like an effect"
    assert float(honest[0, 0]) < float(fooled[0, 0]) - 0.1


def test_weights_are_the_same_as_repeated_pictures() -> None:
    split, blobs = planted(80, moved={2: 0.4})
    weights = torch.randint(0, 3, (40,), generator=torch.Generator().manual_seed(3)).double()
    rows = torch.repeat_interleave(torch.arange(40), weights.long())
    weighted = Everywhere.of(split.delta, split.groups, weights)
    repeated = Everywhere.of(split.delta[rows], rows)
    torch.testing.assert_close(weighted.shift, repeated.shift)
    assert weighted.square == pytest.approx(repeated.square)
    cells = _cells(split.judging_base, split.judging_delta, blobs)
    again = _cells(split.judging_base[rows], split.judging_delta[rows], blobs[rows], rows)
    left = effects(cells, K, weighted, weights)
    right = effects(again, K, weighted)
    torch.testing.assert_close(left, right, rtol=0.05, atol=0.02)


def test_a_concept_of_one_picture_has_no_effect_to_tell() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    cells = _cells(noise(4, D, seed=1), noise(4, D, seed=2), labels, None, 2)
    found = effects(cells, 2, _nothing())
    assert bool(torch.isfinite(found[0]).all())
    assert bool(found[1].isnan().all())
    assert pictures(cells, 3) == [3, 1, 0]


def test_names_of_pictures_become_numbers() -> None:
    numbers, count = group_numbers(["b.png", "a.png", "b.png"])
    assert numbers.tolist() == [1, 0, 1]
    assert count == 2
