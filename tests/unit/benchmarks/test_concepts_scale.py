"""The store of the scale benchmark, exponents, and the watch on memory."""

import numpy as np
import pytest
import torch
from benchmarks.concepts import scale
from benchmarks.concepts.big_store import first_parts, write_store

from shiftlens.activations.store import ActivationStore


def test_a_store_of_drawn_rows_is_a_store(tmp_path) -> None:
    write_store(tmp_path / "store", 50, 16, shard=20)
    store = ActivationStore.open(tmp_path / "store")
    store.verify()
    assert len(store) == len(store.rows) == 50
    assert store.states().shape == (50, 16)
    assert store.states().dtype == torch.float16
    assert len(set(store.sample_ids)) == 50


def test_the_first_parts_are_the_same_rows(tmp_path) -> None:
    write_store(tmp_path / "store", 50, 8, shard=20)
    assert first_parts(tmp_path / "store", tmp_path / "some", 25) == 40
    whole, some = (ActivationStore.open(tmp_path / name) for name in ("store", "some"))
    some.verify()
    assert torch.equal(some.states(), whole.states()[:40])


@pytest.mark.parametrize(("power", "within"), [(1.0, True), (1.5, False)])
def test_the_exponent_is_the_power(power: float, within: bool) -> None:
    sizes = [100, 200, 400, 800, 100]
    noise = np.exp(np.random.default_rng(0).normal(0, 0.005, 5))
    found = scale.exponent(sizes, [3e-3 * n**power * e for n, e in zip(sizes, noise, strict=True)])
    assert found.low < power < found.high
    assert (found.low >= 0.9 and found.high <= 1.1) is within


def test_memory_is_watched_while_it_is_held() -> None:
    before = scale.anonymous_mb()
    with scale.Watch() as watch:
        held = torch.ones(64 * 2**20 // 4)
        del held
        held = torch.ones(64 * 2**20 // 4)
    assert watch.most_mb >= before + 60
    assert held.numel()


@pytest.mark.parametrize("name", scale.LEARNERS)
def test_every_learner_learns_from_the_stores(name: str, tmp_path) -> None:
    write_store(tmp_path / "store", 120, 32, shard=30)
    first_parts(tmp_path / "store", tmp_path / "half", 60)
    fits = scale.fits_here(name, [tmp_path / "half", tmp_path / "store"])
    assert [fit.n for fit in fits] == [60, 120]
    assert all(fit.wall > 0 and fit.anon_mb > 0 for fit in fits)
    figures = scale.of_learner(name, [*fits, fits[0]], 32)
    assert [one.goal for one in figures] == ["<= 1.1", ">= .9", "<= 1.1", ">= .9", "<= 2.0"]


def test_no_room_on_the_disk_is_said(monkeypatch) -> None:
    figures = scale.measure(10**12, 4096)
    assert [one.holds for one in figures] == [None] * 3
    assert all("GB needed" in one.how for one in figures)
