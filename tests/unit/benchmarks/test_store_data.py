"""What the benchmark of the store writes is a store, and what it compares is the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.store.data import drawn, table, write_store
from benchmarks.store.memory import WAYS, here, write_large
from benchmarks.store.writing import write_raw

from shiftlens.activations.store import ActivationStore
from shiftlens.activations.verifying import verify


def test_the_store_and_the_raw_map_hold_the_same(tmp_path: Path) -> None:
    states = drawn(64, 8)
    write_store(tmp_path / "store", states, 200, 16)
    digest = write_raw(tmp_path / "raw", states, 200)
    assert len(digest) == 64
    raw = np.memmap(tmp_path / "raw", np.float16, "r", shape=(200, 8))
    store = ActivationStore.open(tmp_path / "store")
    assert torch.equal(store.states(), torch.from_numpy(raw.copy()))
    assert verify(store.path).sound
    assert store.rows[150].response == table(144, 16)[6]["response"]


@pytest.mark.parametrize("linked", [False, True])
def test_the_large_store_is_sound_and_every_way_sees_all_of_it(
    tmp_path: Path, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.store.memory.LARGE_PART", 16)
    write_large(tmp_path / "store", 70, 8, linked=linked)
    assert verify(tmp_path / "store").sound
    files = {one.stat().st_ino for one in (tmp_path / "store").glob("shard-*")}
    assert len(files) == (2 if linked else 5)
    for way in WAYS:
        found = here(tmp_path / "store", way)
        assert found["most_mb"] >= 1
