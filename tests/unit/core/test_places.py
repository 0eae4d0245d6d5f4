"""Folders far away: whole files or none, fetched once and checked, one sentence when it fails."""

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shiftlens.core.errors import MachineError, StoreError
from shiftlens.core.manifest import sha256_file
from shiftlens.core.places import Kept, Remote, place_of, remote_of, require_here


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    monkeypatch.setenv("SHIFTLENS_CACHE", str(tmp_path / "cache"))
    yield Remote("memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/run", "s3://bucket/run"),
        ("s3://bucket/run/", "s3://bucket/run"),
        (Path("s3://bucket/run"), "s3://bucket/run"),
        ("memory://a", "memory://a"),
        ("runs/dog", None),
        ("/runs/dog", None),
        (Path("C:/runs"), None),
        ("a:b/c", None),
    ],
)
def test_an_address_is_told_from_a_path(path: str | Path, url: str | None) -> None:
    found = remote_of(path)
    assert (found and found.url) == url
    assert str(place_of(path)) == (url or str(path))


def test_a_path_as_an_address_is_refused() -> None:
    with pytest.raises(StoreError, match=r"is on this machine\n  give its path: /tmp/x"):
        remote_of("file:///tmp/x")
    with pytest.raises(StoreError, match="a pair cannot be written to s3://b/x"):
        require_here("s3://b/x", "a pair")
    require_here("runs/x", "a pair")


def test_files_go_there_and_come_back(far: Remote, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    far.put(tmp_path / "file", "shard.bin")
    far.write_bytes("parts/1.json", b"one")
    far.write_bytes("parts/2.json", b"two")
    assert far.sizes() == {"shard.bin": 10, "parts/1.json": 3, "parts/2.json": 3}
    assert far.read_bytes("shard.bin", 2, 5) == b"234"
    assert far.read_many(["parts/2.json", "parts/1.json"]) == [b"two", b"one"]
    assert far.read_many(["parts/2.json"]) == [b"two"]
    assert far.read_many([]) == []
    assert far.under("parts").read_bytes("1.json") == b"one"
    far.write_bytes("parts/1.json", b"new")
    assert far.read_bytes("parts/1.json") == b"new"
    far.remove(["parts/1.json", "parts/2.json"])
    far.remove([])
    assert [far.exists(name) for name in ("shard.bin", "parts/1.json", "parts")] == [True] + 2 * [
        False
    ]


def test_what_is_not_there(far: Remote, tmp_path: Path) -> None:
    assert far.sizes() == {}
    assert not far.exists("x")
    for read in (
        lambda: far.read_bytes("x"),
        lambda: far.read_many(["x"]),
        lambda: far.get("x", tmp_path / "x"),
        lambda: far.fetch("x", "0" * 64),
        lambda: far.remove(["x"]),
    ):
        with pytest.raises(StoreError, match=r"memory://bucket/run/x is missing or damaged"):
            read()
    assert not (tmp_path / "x").exists()


def test_a_copy_is_fetched_once_and_is_what_was_written(far: Remote, tmp_path: Path) -> None:
    far.write_bytes("a.bin", b"states")
    (tmp_path / "same").write_bytes(b"states")
    sha256 = sha256_file(tmp_path / "same")
    copy = far.fetch("a.bin", sha256)
    assert copy.read_bytes() == b"states"
    assert copy.suffix == ".bin"
    far.write_bytes("a.bin", b"other!")
    assert far.fetch("a.bin", sha256) == copy
    copy.unlink()
    with pytest.raises(StoreError, match=r"a.bin is missing or damaged \(another SHA-256\)"):
        far.fetch("a.bin", sha256)
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and one.name != "same"]


def test_a_kept_file_is_here_or_there(far: Remote, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    far.put(tmp_path / "a.bin", "a.bin")
    sha256 = sha256_file(tmp_path / "a.bin")
    here, there = (Kept(folder, "a.bin", sha256) for folder in (tmp_path, far))
    assert here.here() == tmp_path / "a.bin"
    assert there.here() != tmp_path / "a.bin"
    assert there.here().read_bytes() == here.here().read_bytes()
    assert here.read(3, 6) == there.read(3, 6) == b"345"
    assert str(there) == "memory://bucket/run/a.bin"
    assert str(here) == str(tmp_path / "a.bin")


def test_the_workshop_is_the_place_s_own(far: Remote) -> None:
    assert far.workshop == Remote(far.url).workshop
    assert far.workshop != far.under("base").workshop


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(StoreError, match=r'pip install "shiftlens\[s3\]"'):
        Remote("s3://bucket/run").exists("x")


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(StoreError, match="nowhere://x cannot be opened: Protocol not known"):
        Remote("nowhere://x").exists("y")


def test_any_other_fault_is_the_machine_s(far: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", fail)
    with pytest.raises(MachineError, match=r"x cannot be .*PermissionError: denied\)") as caught:
        far.write_bytes("x", b"")
    assert "credentials in the environment" in str(caught.value)
    assert caught.value.exit_code == 3
