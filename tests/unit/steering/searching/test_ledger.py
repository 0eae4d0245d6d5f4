"""Kept answers: whole lines count, torn and damaged ones do not."""

from pathlib import Path

import pytest

from shiftlens.steering.searching.ledger import FILE, Ledger


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path)
    for number in range(3):
        ledger.keep(f"key-{number}", {"texts": [f"räum {number}"], "kl": [0.1 * number]})
    return tmp_path


def test_what_was_kept_is_found_again(folder: Path) -> None:
    again = Ledger(folder)
    assert len(again) == 3
    assert again.find("key-2") == {"texts": ["räum 2"], "kl": [0.2]}
    assert again.find("key-9") is None
    assert again.find(None) is None
    assert again.damaged == 0


def test_a_torn_last_line_is_left_out_and_the_next_is_whole(folder: Path) -> None:
    file = folder / FILE
    file.write_bytes(file.read_bytes()[:-9])
    again = Ledger(folder)
    assert (len(again), again.damaged) == (2, 1)
    again.keep("key-7", "new")
    once_more = Ledger(folder)
    assert once_more.find("key-7") == "new"
    assert (len(once_more), once_more.damaged) == (3, 1)


@pytest.mark.parametrize("change", [("0.1", "0.2"), ("key-1", "key-5"), ('"check"', '"chuck"')])
def test_a_changed_line_is_never_read(folder: Path, change: tuple[str, str]) -> None:
    file = folder / FILE
    file.write_text(file.read_text().replace(*change))
    again = Ledger(folder)
    assert again.damaged >= 1
    assert again.find("key-1") is None
    assert again.find("key-5") is None
    assert again.find("key-0") is not None or change[0] == '"check"'


def test_without_key_or_folder_nothing_is_kept(folder: Path) -> None:
    Ledger(folder).keep(None, "x")
    assert len(Ledger(folder)) == 3
    nowhere = Ledger(None)
    nowhere.keep("key", "x")
    assert nowhere.find("key") is None
