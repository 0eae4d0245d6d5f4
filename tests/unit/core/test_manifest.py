"""Files that are whole or absent, and digests that tell them apart."""

import contextlib
import hashlib
import json
import stat
from pathlib import Path

import pytest

from shiftlens.core.errors import StoreError
from shiftlens.core.manifest import (
    digest,
    read_json,
    remove_leftovers,
    replacing,
    replacing_all,
    sha256_file,
    write_atomic,
    write_json,
)


class _Crash(BaseException):
    """Like a kill: not even an ``Exception``."""


def _write_and_crash(path: Path, crash: type[BaseException]) -> None:
    path.write_bytes(b"half of the ne")
    raise crash


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "file.bin"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in path.parent.iterdir()] == ["file.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("crash", [_Crash, ValueError, KeyboardInterrupt])
def test_a_crash_between_leaves_the_old_file(tmp_path: Path, crash: type[BaseException]) -> None:
    path = tmp_path / "file.bin"
    write_atomic(path, b"old")
    with pytest.raises(crash), replacing(path) as temporary:
        _write_and_crash(temporary, crash)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file.bin"]


def test_a_crash_before_the_first_file_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(_Crash), replacing(tmp_path / "file.bin"):
        raise _Crash
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    for name in (".file.bin.k2j4.tmp", "file.bin", "notes.tmp", ".hidden", ".lock-1-of-1"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == [".hidden", ".lock-1-of-1", "file.bin", "notes.tmp"]


def test_twin_writing_in_place_loses_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(_Crash):
        _write_and_crash(path, _Crash)
    assert path.read_bytes() == b"half of the ne"


def test_until_the_end_a_reader_sees_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"version": 1})
    with replacing(path) as temporary:
        assert temporary.parent == path.parent, "a rename across file systems is not one step"
        temporary.write_text('{"version": 2}')
        assert read_json(path) == {"version": 1}
    assert read_json(path) == {"version": 2}


@pytest.mark.parametrize("crash", [None, _Crash, KeyboardInterrupt])
def test_two_files_appear_together_or_not_at_all(
    tmp_path: Path, crash: type[BaseException] | None
) -> None:
    paths = tmp_path / "a" / "one", tmp_path / "a" / "two"
    digests: list[str] = []
    with contextlib.suppress(_Crash, KeyboardInterrupt), replacing_all(*paths) as files:
        first, second = files.temporaries
        first.write_bytes(b"1")
        files.written(first)
        if crash is not None:
            _write_and_crash(second, crash)
        second.write_bytes(b"2")
        assert not any(path.exists() for path in paths)
        digests = files.digests
    found = {one.name: one.read_bytes() for one in (tmp_path / "a").iterdir()}
    assert found == ({"one": b"1", "two": b"2"} if crash is None else {})
    assert digests == ([sha256_file(path) for path in paths] if crash is None else [])


def test_json_keeps_order_and_letters(tmp_path: Path) -> None:
    value = {"z": 1, "a": ["ä", None, 0.1], "m": {}}
    write_json(tmp_path / "v.json", value)
    text = (tmp_path / "v.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["z", "a", "m"]
    assert "ä" in text
    assert read_json(tmp_path / "v.json") == value


def test_json_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none.json does not exist"):
        read_json(tmp_path / "none.json")
    (tmp_path / "a.json").write_text('{"a": ')
    (tmp_path / "b.json").write_bytes(b'"\xff"')
    for name in ("a.json", "b.json"):
        with pytest.raises(StoreError, match=f"{name} is not valid JSON"):
            read_json(tmp_path / name)


def test_sha256_is_the_known_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == known
    assert digest("abc") == hashlib.sha256(b'"abc"').hexdigest()


def test_a_digest_depends_on_the_value_and_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    values = [{"a": 1}, {"a": 2}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": "1"}, {"a": None}]
    assert len({digest(value) for value in values}) == len(values)
