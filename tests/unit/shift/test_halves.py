"""Halves and resamples: rows of one sample are never torn apart."""

import numpy as np
import pytest
import torch

from shiftlens.shift.halves import Pairs, Resampler, cut


def _ids(n: int, rows: int = 1) -> list[str]:
    return [f"s{i // rows}" for i in range(n)]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_halves_are_cut_by_sample(rows: int) -> None:
    ids = np.asarray(_ids(60, rows))
    for seed in range(20):
        first, second = cut(ids, np.random.default_rng(seed))
        assert not set(ids[first]) & set(ids[second])
        assert sorted([*first, *second]) == list(range(60))
        assert len(set(ids[first])) == 60 // rows // 2


def test_twin_halves_cut_by_row_would_share_samples() -> None:
    ids = np.asarray(_ids(60, 2))
    first, second = cut(np.arange(60), np.random.default_rng(0))
    assert set(ids[first]) & set(ids[second])


def test_a_resample_brings_all_rows_of_a_sample_as_often_as_it_is_drawn() -> None:
    ids = ["a", "b", "a", "c", "a", "b"]
    states = torch.arange(6.0)[:, None]
    samples = Pairs.of(states, states, ids).samples
    seen: set[tuple[int, ...]] = set()
    for seed in range(30):
        rows = Resampler(samples).draw(np.random.default_rng(seed))
        times = np.bincount(rows, minlength=6)
        assert times[0] == times[2] == times[4]
        assert times[1] == times[5]
        drawn = (int(times[0]), int(times[1]), int(times[3]))
        assert sum(drawn) == 3, "as many samples as there are"
        seen.add(drawn)
    assert len(seen) > 5


def test_halves_are_in_single_precision_whatever_the_store_s() -> None:
    half = torch.randn(8, 4).half()
    halves = Pairs.of(half, half, _ids(8)).halves(np.arange(4), np.arange(4, 8))
    assert {one.dtype for one in (halves.base, halves.judging_tuned)} == {torch.float32}
