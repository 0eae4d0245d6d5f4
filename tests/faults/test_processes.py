"""Real commands: two on one store, one that is killed, one that is interrupted once and twice."""

import os
import random
import re
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.faults.commands import PARTS, Commands, await_, ended, in_session, parts_in_journal
from tests.faults.comparing import differences, files
from tests.faults.killing import descendants, is_alive

from shiftlens.activations.store import ActivationStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("commands")).build()


def test_the_second_of_two_is_told_who_the_first_is(commands: Commands, tmp_path: Path) -> None:
    out = tmp_path / "store"
    first = commands.harvest(out)
    await_(lambda: parts_in_journal(out), first)
    first.send_signal(signal.SIGSTOP)  # however slow the machine, it is still at it
    try:
        code, said, told = ended(commands.harvest(out))
        held = files(out)
    finally:
        first.send_signal(signal.SIGCONT)
    assert code == 3
    assert said == ""
    holder = f"process {first.pid} on {socket.gethostname()}"
    assert told.startswith(f"MachineError: {out} is being written by {holder}\n"), told
    assert "Traceback" not in told
    assert held, "and the first one's files are left alone"
    assert ended(first)[0] == 0
    assert differences(commands.whole(), out) == []


def test_two_that_begin_together_leave_one_whole_store(commands: Commands, tmp_path: Path) -> None:
    out = tmp_path / "store"
    both = [commands.harvest(out) for _ in range(2)]
    found = [ended(one) for one in both]
    assert sorted(code for code, _, _ in found) in ([0, 3], [0, 0]), found
    assert differences(commands.whole(), out) == []


def test_the_lock_of_a_killed_one_holds_nobody_up(commands: Commands, tmp_path: Path) -> None:
    out = tmp_path / "store"
    first = commands.harvest(out, "--decoders", "1")
    await_(lambda: parts_in_journal(out), first)
    children = descendants(first.pid)
    first.kill()
    assert ended(first)[0] == -signal.SIGKILL
    assert str(first.pid) in (out / ".lock-1-of-1").read_text(), "the lock lies there"
    code, _, told = ended(commands.harvest(out))
    assert (code, told) == (0, "")
    assert not any(map(is_alive, children))
    assert differences(commands.whole(), out) == []


@pytest.mark.parametrize("options", [(), ("--decoders", "2")], ids=["alone", "decoders"])
def test_ctrl_c_ends_in_one_line_and_keeps_what_is_finished(
    commands: Commands, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out = tmp_path / "store"
    process = commands.harvest(out, *options)
    await_(lambda: parts_in_journal(out), process)
    children = descendants(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells everybody in the foreground
    code, said, told = ended(process)
    assert code == 130
    assert said == ""
    assert re.fullmatch(r"interrupted: [^\n]+\n", told), told
    assert in_session(process.pid) == []
    assert not any(map(is_alive, children))
    kept = parts_in_journal(out)
    assert 1 <= kept <= PARTS
    assert not list(out.glob(".*.tmp"))
    assert ended(commands.harvest(out))[0] == 0
    assert differences(commands.whole(), out) == []


@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_twice_ends_at_once_and_loses_nothing(
    commands: Commands, tmp_path: Path, seed: int
) -> None:
    out, drawn = tmp_path / "store", random.Random(seed)
    process = commands.harvest(out, "--decoders", "1")
    await_(lambda: (out / "manifest.json").exists(), process)
    time.sleep(drawn.uniform(0, 0.5))
    children = descendants(process.pid)
    for pause in (0, 10 ** drawn.uniform(-4, -1)):
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)
    code, said, told = ended(process)
    assert code in (130, -signal.SIGINT), told  # a shell says 130 of both
    assert said == ""
    assert told.count("\n") <= 1, told
    assert in_session(process.pid) == []
    assert not any(map(is_alive, children))
    assert ended(commands.harvest(out))[0] == 0
    assert differences(commands.whole(), out) == []


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_time_it_goes_on(commands: Commands, tmp_path: Path, seed: int) -> None:
    """A fresh process each time: also while it loads its libraries and the model."""
    out, drawn = tmp_path / "store", random.Random(seed)
    commands.whole()
    for _ in range(2):
        process = commands.harvest(out)
        time.sleep(drawn.uniform(0, commands.seconds))
        process.kill()
        assert ended(process)[0] in (0, -signal.SIGKILL)
    code, _, told = ended(commands.harvest(out))
    assert (code, told) == (0, "")
    assert differences(commands.whole(), out) == []
    ActivationStore.open(out).verify()
