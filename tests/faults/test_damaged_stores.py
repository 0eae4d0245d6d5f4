"""Stores that were damaged, cut off, or belong to another version are refused by name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, write_json


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    states = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    return build_store(tmp_path / "store", states, shards=3)


def _flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_whole_store_verifies(store: ActivationStore) -> None:
    store.verify()


@pytest.mark.parametrize("name", ["shard-0.safetensors", "shard-2.safetensors", "rows-1.parquet"])
@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_flipped_bit_is_found_and_named(store: ActivationStore, name: str, at: int) -> None:
    _flip(store.path / name, at)
    with pytest.raises(StoreError, match=f"{name} is missing or damaged"):
        store.verify()


def test_states_do_not_show_a_flipped_bit_by_themselves(store: ActivationStore) -> None:
    """Twin: without ``verify`` a changed number is read like any other."""
    before = store.states().clone()
    _flip(store.path / "shard-1.safetensors")
    assert not store.states().equal(before)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.unlink(),
        lambda p: p.write_bytes(p.read_bytes()[:20]),
        lambda p: p.write_text("x"),
    ],
    ids=["missing", "cut", "other"],
)
def test_a_shard_or_table_that_cannot_be_read_is_named(
    store: ActivationStore, damage: Callable[[Path], object]
) -> None:
    damage(store.path / "shard-1.safetensors")
    with pytest.raises(StoreError, match=r"shard-1.safetensors is missing or damaged"):
        store.states()
    damage(store.path / "rows-2.parquet")
    with pytest.raises(StoreError, match=r"rows-2.parquet is missing or damaged"):
        _ = ActivationStore.open(store.path).rows


def test_a_shard_that_is_cut_off_while_it_is_mapped_is_refused_not_read(
    store: ActivationStore,
) -> None:
    """To read a mapping beyond the end of its file is the end of the process (SIGBUS)."""
    before = store.gather(range(30))
    shard = store.path / "shard-1.safetensors"
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(StoreError, match=r"shard-1.safetensors was cut off while") as caught:
        store.gather([12])
    assert f"shiftlens store verify {store.path}" in str(caught.value)
    assert store.gather([0, 29]).equal(before[[0, 29]]), "the other shards are sound"
    with pytest.raises(StoreError, match=r"shard-1.safetensors is missing or damaged"):
        ActivationStore.open(store.path).gather([12])


def test_twin_a_mapped_shard_that_is_removed_or_replaced_can_be_read_to_the_end(
    store: ActivationStore,
) -> None:
    before = store.gather(range(30))
    (store.path / "shard-0.safetensors").unlink()
    other = store.path / "other"
    other.write_bytes((store.path / "shard-1.safetensors").read_bytes())
    other.rename(store.path / "shard-1.safetensors")
    assert store.gather(range(30)).equal(before)


def test_an_unfinished_store_is_not_opened(store: ActivationStore) -> None:
    manifest = read_manifest(store.path)
    del manifest.parts[1]
    manifest.write()
    with pytest.raises(StoreError, match="unfinished: 2 of 3 parts") as caught:
        ActivationStore.open(store.path)
    assert "it goes on from there" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "a store of schema 99"),
        ({"kind": "concepts"}, "not the manifest of a store"),
    ],
)
def test_another_kind_or_version_is_refused(
    store: ActivationStore, change: dict[str, object], message: str
) -> None:
    path = store.path / "manifest.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(StoreError, match=message):
        ActivationStore.open(store.path)


def test_no_store_and_no_json_are_refused(store: ActivationStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        ActivationStore.open(tmp_path / "nothing")
    (store.path / "manifest.json").write_text('{"schema": 1, "ki')
    with pytest.raises(StoreError, match="not valid JSON"):
        ActivationStore.open(store.path)
