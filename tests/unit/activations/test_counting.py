"""Parts are finished behind the back of who computes the next one: in order, and none is lost."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.activations.writing import Counting
from shiftlens.core.errors import MachineError


def _entry(number: int) -> dict[str, Any]:
    return {
        "shard": f"shard-{number}",
        "rows": f"rows-{number}",
        "n": 1,
        "counts": {"matched": 1, "missed": 0, "failed": 0},
        "quarantine": [],
        "sha256": {"shard": "", "rows": ""},
    }


def _manifest(root: Path) -> Manifest:
    manifest = Manifest(root, {"of": "nothing"}, {}, 9)
    manifest.write()
    return manifest


def _ready(number: int) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [_entry(number)]


def test_parts_count_in_the_order_given_in_every_manifest(tmp_path: Path) -> None:
    both = [_manifest(tmp_path / name) for name in ("a", "b")]
    with Counting(both) as counting:
        for number in (3, 1, 2):
            counting.add(number, lambda number=number: [_entry(number), _entry(10 + number)])
    for manifest, first in zip(both, ("shard-3", "shard-13"), strict=True):
        assert list(manifest.parts) == [3, 1, 2]
        assert manifest.parts[3]["shard"] == first
        assert list(read_manifest(manifest.root).parts) == [3, 1, 2], "the journal says the same"


def test_whoever_adds_a_part_does_not_wait_for_it(tmp_path: Path) -> None:
    gate, caller = threading.Event(), threading.get_ident()
    seen: list[int] = []

    def settle() -> list[dict[str, Any]]:
        assert gate.wait(20), "add() waited for the part that it was given"
        seen.append(threading.get_ident())
        return [_entry(0)]

    manifest = _manifest(tmp_path)
    with Counting([manifest]) as counting:
        counting.add(0, settle)
        assert not manifest.parts, "it does not exist before its files are there"
        gate.set()
    assert list(manifest.parts) == [0]
    assert seen != [caller]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_what_was_added_exists_when_the_next_part_fails(
    tmp_path: Path, kind: type[BaseException]
) -> None:
    def run() -> None:
        with Counting([_manifest(tmp_path)]) as counting:
            counting.add(0, _ready(0))
            raise kind

    with pytest.raises(kind):
        run()
    assert list(read_manifest(tmp_path).parts) == [0]


@pytest.mark.parametrize("more", [True, False])
def test_a_full_disk_is_heard_at_the_next_part_or_at_the_end(tmp_path: Path, more: bool) -> None:
    ended: list[int] = []

    def full() -> list[dict[str, Any]]:
        raise MachineError("the disk is full")

    def last() -> list[dict[str, Any]]:
        ended.append(2)
        return [_entry(2)]

    def run() -> None:
        with Counting([_manifest(tmp_path)]) as counting:
            counting.add(0, _ready(0))
            counting.add(1, full)
            if more:
                counting.add(2, last)

    with pytest.raises(MachineError, match="the disk is full"):
        run()
    assert list(read_manifest(tmp_path).parts) == [0]
    assert ended == ([2] if more else []), "its files are put away, and it does not count"
