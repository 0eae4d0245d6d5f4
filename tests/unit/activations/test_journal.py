"""The journal of a run under way: whole lines count, half ones do not, damage is named."""

import json
import re
from pathlib import Path

import pytest

from shiftlens.activations.journal import Journal, journal_path, journals, read_journal
from shiftlens.activations.manifest import Manifest, read_manifest
from shiftlens.core.errors import StoreError

ENTRY = {"n": 3, "shard": "shard-0.safetensors", "reason": "a\u2028b\né"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = journal_path(tmp_path)
    journal = Journal(file, "run")
    for number in range(3):
        journal.add(number, {**ENTRY, "n": number})
    return file


def test_what_was_added_is_read_back_in_any_text(path: Path) -> None:
    parts, whole = read_journal(path, "run")
    assert parts == {number: {**ENTRY, "n": number} for number in range(3)}
    assert whole == path.stat().st_size


def test_the_last_word_on_a_part_counts(path: Path) -> None:
    Journal(path, "run").add(1, {"n": 99})
    parts, _ = read_journal(path, "run")
    assert (parts[1], len(parts)) == ({"n": 99}, 3)


def test_a_cut_line_is_passed_over_and_taken_away_by_the_next(path: Path) -> None:
    """At every length of the last line: what is left is two parts, never damage."""
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(data)):
        path.write_bytes(data[:length])
        assert sorted(read_journal(path, "run")[0]) == [0, 1]
        Journal(path, "run").add(2, {**ENTRY, "n": 2})
        assert path.read_bytes() == data


def test_a_cut_first_line_begins_the_journal_anew(tmp_path: Path) -> None:
    path = journal_path(tmp_path)
    Journal(path, "run").add(0, ENTRY)
    data = path.read_bytes()
    for length in (0, 1, 40, data.index(b"\n")):
        path.write_bytes(data[:length])
        Journal(path, "run").add(0, ENTRY)
        assert path.read_bytes() == data


def test_twin_a_flipped_bit_before_the_last_line_is_named(path: Path) -> None:
    data = path.read_bytes()
    second = data.index(b"\n") + 1
    for at in (5, second, second + 70):
        flipped = bytearray(data)
        flipped[at] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(StoreError, match=r"line [12] of .*journal.jsonl is damaged") as caught:
            read_journal(path, "run")
        assert "run the same harvest again" in str(caught.value)
        with pytest.raises(StoreError, match="is damaged"):
            Journal(path, "run").add(7, ENTRY)
        assert path.read_bytes() == bytes(flipped), "nothing is lost before someone has looked"


def test_the_journal_of_another_run_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match="is the journal of another run"):
        read_journal(path, "other")


def test_writers_have_files_of_their_own(tmp_path: Path) -> None:
    whole = Manifest(tmp_path, {"a": 1}, {}, 4)
    whole.write()
    first, second = (read_manifest(tmp_path, writer=f"{n}-of-2") for n in (1, 2))
    for number, one in enumerate((first, second, first, second)):
        one.add(number, ENTRY)
    assert [file.name for file in journals(tmp_path)] == [
        "journal-1-of-2.jsonl",
        "journal-2-of-2.jsonl",
    ]
    found = read_manifest(tmp_path)
    assert (sorted(found.parts), found.open, found.complete) == ([0, 1, 2, 3], True, False)
    found.finish()
    assert read_manifest(tmp_path).complete
    assert journals(tmp_path) == []
    named = json.loads((tmp_path / "manifest.json").read_text())
    assert list(named["parts"]) == ["0", "1", "2", "3"]


def test_an_unfinished_run_is_not_put_into_the_manifest(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path, {}, {}, 2)
    manifest.write()
    manifest.add(1, ENTRY)
    with pytest.raises(StoreError, match=re.escape("is unfinished: 1 of 2 parts")):
        manifest.finish()
    assert len(journals(tmp_path)) == 1
