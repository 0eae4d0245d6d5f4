"""Who may write a directory: real processes, and what one that is killed leaves behind."""

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shiftlens.core.errors import MachineError
from shiftlens.core.locking import briefly_locked, locked, remove_locks

_HOLD = """
import sys
from pathlib import Path
from shiftlens.core.locking import locked
with locked(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _held(root: Path, share: tuple[int, int]) -> Generator[subprocess.Popen[bytes]]:
    """Another process that holds a share."""
    arguments = [sys.executable, "-c", _HOLD, str(root), *map(str, share)]
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        yield holder
    finally:
        holder.stdin.close()
        holder.wait(timeout=20)
        holder.stdout.close()


@pytest.mark.parametrize("share", [(1, 1), (2, 4), (1, 3)], ids=["whole", "same", "other cut"])
def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path, share: tuple[int, int]) -> None:
    with _held(tmp_path, (2, 4)) as holder:
        with pytest.raises(MachineError, match="is being written by process") as caught:
            with locked(tmp_path, share):
                pass
    assert str(holder.pid) in str(caught.value)
    assert "as part 2 of 4" in str(caught.value)
    assert caught.value.exit_code == 3


def test_other_shares_of_one_cut_write_together(tmp_path: Path) -> None:
    with _held(tmp_path, (2, 4)), locked(tmp_path, (1, 4)), locked(tmp_path, (3, 4)):
        assert (tmp_path / ".lock-3-of-4").exists()


@pytest.mark.parametrize("share", [(1, 1), (2, 4), (1, 3)], ids=["whole", "same", "other cut"])
def test_twin_the_lock_of_a_killed_process_holds_nobody_up(
    tmp_path: Path, share: tuple[int, int]
) -> None:
    with _held(tmp_path, (2, 4)) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=20)
        assert (tmp_path / ".lock-2-of-4").exists()
        with locked(tmp_path, share):
            pass


def test_a_process_does_not_lock_out_itself_for_ever(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(MachineError, match="is being written"):
            with locked(tmp_path):
                pass
    with pytest.raises(ValueError, match="inside"):
        with locked(tmp_path):
            raise ValueError("inside")
    with locked(tmp_path):
        pass


def test_files_of_locks_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "shard").touch()
    with locked(tmp_path / "new"), locked(tmp_path), briefly_locked(tmp_path):
        pass
    remove_locks(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["new", "shard"]
