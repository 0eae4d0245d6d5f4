"""Every file of a store, cut off at every length and changed at every byte: an error, or the truth.

What ``verify`` cannot see must be what it was; nothing may end in any other exception.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.builders import build_store

from shiftlens.activations.journal import Journal, journal_path, read_journal
from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.activations.recognising import finished, note_request
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.verifying import verify
from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import read_json, write_json

STATES = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    return build_store(tmp_path / "store", STATES, shards=2)


def _cut(whole: bytes, step: int) -> Iterator[bytes]:
    for length in range(0, len(whole), step):
        yield whole[:length]


def _flipped(whole: bytes, step: int) -> Iterator[bytes]:
    """One bit of every byte, which one is drawn; with a step of 0, every bit."""
    drawn = random.Random(0)
    bits = (
        [at * 8 + drawn.randrange(8) for at in range(0, len(whole), step)]
        if step
        else range(len(whole) * 8)
    )
    for bit in bits:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << (bit % 8)
        yield bytes(changed)


DAMAGES = {"cut": _cut, "flipped": _flipped}


def _read(path: Path) -> None:
    opened = ActivationStore.open(path)
    assert len(opened.states()) == 6
    assert opened.rows is not None


def _said(work: Callable[[Path], object], path: Path) -> str:
    """The error of the only kind that is expected; any other one passes, and fails the test."""
    try:
        work(path)
    except StoreError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["shard-1.safetensors", "rows-1.parquet"])
def test_a_damaged_file_is_named_by_verify_and_never_a_crash(
    store: ActivationStore, name: str, damage: str
) -> None:
    file = store.path / name
    _damage_all(store, file, DAMAGES[damage](file.read_bytes(), 31))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shard-1.safetensors", "rows-1.parquet"])
def test_at_every_byte(store: ActivationStore, name: str) -> None:
    file = store.path / name
    whole = file.read_bytes()
    _damage_all(store, file, _cut(whole, 1))
    _damage_all(store, file, _flipped(whole, 1))


def _damage_all(store: ActivationStore, file: Path, damages: Iterator[bytes]) -> None:
    whole, n = file.read_bytes(), 0
    for n, damaged in enumerate(damages, 1):
        file.write_bytes(damaged)
        found = verify(store.path)
        assert file.name in {one.file for one in found.faults}, n
        assert all(file.name in one.text for one in found.faults), n
        # Without verify: an error that names the file, or what is there.
        said = _said(_read, store.path)
        assert not said or file.name in said, n
    assert n > 3
    file.write_bytes(whole)
    assert verify(store.path).sound, "twin"


def _journal(tmp_path: Path) -> Manifest:
    """A run under way: three parts in its journal."""
    manifest = Manifest(tmp_path, {"site": {"layer": 0}}, {}, 4)
    manifest.write()
    for number in range(3):
        files = {"shard": f"shard-{number}.safetensors", "rows": f"rows-{number}.parquet"}
        counts = {"matched": number, "missed": 0, "failed": 0}
        manifest.add(number, {**files, "n": number, "counts": counts, "quarantine": []})
    return manifest


def test_a_journal_that_is_cut_off_anywhere_loses_the_last_part_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # a thousand times
    manifest = _journal(tmp_path)
    file = journal_path(tmp_path)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        found = read_manifest(tmp_path)
        known = max(0, whole[:length].count(b"\n") - 1)
        assert found.parts == {n: manifest.parts[n] for n in range(known)}, length
        # Going on, the rest is what it would have been.
        for number in range(known, 3):
            found.add(number, manifest.parts[number])
        assert file.read_bytes() == whole, length


def test_a_journal_that_is_changed_anywhere_gives_no_other_part(tmp_path: Path) -> None:
    manifest = _journal(tmp_path)
    file = journal_path(tmp_path)
    whole = file.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    every = manifest.parts
    refused = 0
    for at, damaged in enumerate(_flipped(whole, 1)):
        file.write_bytes(damaged)
        found: list[dict[int, dict[str, object]]] = []
        said = _said(lambda path: found.append(read_manifest(path).parts), tmp_path)  # noqa: B023
        refused += bool(said)
        if said:
            assert "journal.jsonl" in said, at
        elif at >= last - 1:  # what stands there may pass for a line that a kill cut off
            assert found[0] in [{n: every[n] for n in range(known)} for known in (1, 2, 3)], at
        else:
            assert found[0] == every, at
    assert refused > 0.95 * last


def test_the_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    _journal(tmp_path)
    with pytest.raises(StoreError, match=r"journal\.jsonl is the journal of another run"):
        read_journal(journal_path(tmp_path), "another")
    other = Journal(journal_path(tmp_path), "another")
    with pytest.raises(StoreError, match="another run"):
        other.add(3, {})


def _manifests(store: ActivationStore, damages: Iterator[bytes]) -> None:
    """Damaged in every way, it is refused by name, or holds what it held."""
    file = store.path / "manifest.json"
    whole, before = file.read_bytes(), read_manifest(store.path)
    for at, damaged in enumerate(damages):
        file.write_bytes(damaged)
        said = _said(ActivationStore.open, store.path)
        # A changed space between two words, or the name of the checksum, says nothing else.
        assert str(store.path) in said if said else read_manifest(store.path) == before, at
        assert not verify(store.path).sound if said else True
        assert finished(store.path, "key") is None if said else True, at
    file.write_bytes(whole)
    assert _said(ActivationStore.open, store.path) == "", "twin"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_named(store: ActivationStore, damage: str) -> None:
    file = store.path / "manifest.json"
    note_request(store.path, "key", [store._manifest])
    _manifests(store, DAMAGES[damage](file.read_bytes(), 7))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["every length", "every bit"])
def test_a_manifest_damaged_anywhere_is_named(store: ActivationStore, damage: str) -> None:
    whole = (store.path / "manifest.json").read_bytes()
    note_request(store.path, "key", [store._manifest])
    _manifests(store, _cut(whole, 1) if damage == "every length" else _flipped(whole, 0))


def test_twin_without_its_checksum_a_manifest_tells_other_counts(store: ActivationStore) -> None:
    file = store.path / "manifest.json"
    text = file.read_text().replace('"matched": 3', '"matched": 2')
    file.write_text(text)
    assert "is damaged: it is not what was written" in _said(ActivationStore.open, store.path)
    value = read_json(file)
    del value["checksum"]
    write_json(file, value)
    assert ActivationStore.open(store.path).counts["matched"] == 4


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_request_is_not_recognised(store: ActivationStore, damage: str) -> None:
    note_request(store.path, "key", [store._manifest])
    file = store.path / ".request.json"
    whole = file.read_bytes()
    assert finished(store.path, "key")
    for damaged in DAMAGES[damage](whole, 1):
        file.write_bytes(damaged)
        # The closing brace and the last line break say nothing.
        assert finished(store.path, "key") is None or damaged.strip() == whole.strip()
