"""Parts on workers: all of them, once each, whatever dies, and errors as they were raised."""

import os
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.unit.distributed import work

from shiftlens.core.errors import DataError, MachineError
from shiftlens.core.executor import Executor, SerialExecutor
from shiftlens.distributed.rates import WorkerRate
from shiftlens.distributed.ray_executor import RayExecutor

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]


def _begun(folder: Path) -> dict[int, int]:
    """How often each part was begun."""
    return {int(one.name): len(one.read_text().splitlines()) for one in folder.iterdir()}


def test_workers_give_what_one_process_gives_and_say_who_did_what() -> None:
    executor = RayExecutor(2)
    assert isinstance(executor, Executor)
    found = sorted(executor.map(work.slow_square, range(7)))
    assert found == sorted(SerialExecutor().map(work.slow_square, range(7)))
    assert [one.number for one in executor.rates] == [1, 2]
    assert sum(one.parts for one in executor.rates) == 7
    assert all(one.seconds >= 0.2 * one.parts for one in executor.rates)
    assert {one.state for one in executor.rates} <= {"idle", "loading", "waiting"}


def test_workers_take_over_what_decides_last_digits() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        (found,) = RayExecutor(1, threads=2).map(work.settings, [0])
    finally:
        torch.use_deterministic_algorithms(False)
    assert found == {"pid": found["pid"], "threads": 2, "deterministic": True}
    assert found["pid"] != os.getpid()
    (found,) = RayExecutor(1).map(work.settings, [0])  # twin
    assert (found["threads"], found["deterministic"]) == (1, False)


def test_the_part_of_a_dead_worker_is_done_again_and_no_other(tmp_path: Path) -> None:
    seen: list[tuple[WorkerRate, ...]] = []
    executor = RayExecutor(2, watch=lambda rates: seen.append(tuple(rates)))
    found = list(executor.map(partial(work.die_once, tmp_path), range(6)))
    assert sorted(found) == list(range(6)), "each part has one result"
    assert _begun(tmp_path) == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 1}
    assert sum(one.lost for one in executor.rates) == 1
    assert sum(one.parts for one in executor.rates) == 6
    assert seen[-1] == executor.rates


def test_a_part_that_kills_every_worker_ends_the_run_by_name(tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(MachineError, match="part 2 killed its worker 2 times") as caught:
        done.extend(RayExecutor(1, deaths=2).map(partial(work.die_always, tmp_path), range(4)))
    assert "parts that were finished before are kept" in str(caught.value)
    assert done == [0, 1]
    assert _begun(tmp_path) == {0: 1, 1: 1, 2: 2}


@pytest.mark.parametrize(
    ("part", "kind", "text"),
    [
        (3, DataError, "part 3 is no part\n  1 or 2\n  leave it out"),
        (4, MachineError, "the disk is full\n  free some space"),
        (5, ZeroDivisionError, "five"),
    ],
)
def test_an_error_of_a_part_is_the_error_of_the_run(
    tmp_path: Path, part: int, kind: type[Exception], text: str
) -> None:
    done: list[int] = []
    with pytest.raises(kind) as caught:
        done.extend(RayExecutor(1).map(partial(work.refuse, tmp_path), [0, 1, part, 2]))
    assert type(caught.value) is kind
    assert str(caught.value) == text
    assert "in refuse" in caught.value.__notes__[0], "where it was raised is not lost"
    assert done == [0, 1]
    assert 2 not in _begun(tmp_path)


def test_what_cannot_be_sent_is_one_sentence() -> None:
    with pytest.raises(DataError, match=r"cannot be sent to other processes \(.*lock"):
        list(RayExecutor(1).map(partial(work.note, threading.Lock()), [1]))  # pyright: ignore


def test_a_worker_that_nothing_has_room_for_is_not_waited_for_without_end() -> None:
    with pytest.raises(MachineError, match=r"each asks for 64 CPUs .* the cluster has 3 CPUs"):
        list(RayExecutor(1, cpus_per_worker=64, patience=1).map(work.square, [1]))


def test_a_ray_of_this_process_is_left_to_it() -> None:
    import ray

    assert list(RayExecutor(1).map(work.square, [3])) == [9]
    assert ray.is_initialized()
    with pytest.raises(DataError, match="connected to a Ray already"):
        list(RayExecutor(1, address="local").map(work.square, [3]))


def test_nothing_to_do_asks_nobody() -> None:
    executor = RayExecutor(2)
    assert list(executor.map(work.square, [])) == []
    assert executor.rates == ()


def test_a_run_that_is_left_early_ends_its_workers() -> None:
    results = RayExecutor(1).map(work.settings, range(50))
    pid = next(iter(results))["pid"]
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert work.ends(pid)
