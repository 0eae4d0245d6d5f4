"""Who is given which part: the crew alone, on workers that live and die as a test says."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from shiftlens.core.errors import DataError, MachineError
from shiftlens.distributed.crew import Crew, Terms
from shiftlens.distributed.worker import Numerics, Outcome


class RayError(Exception):
    """As Ray's."""


class RayTaskError(RayError):
    """As Ray's."""


class Died(RayError):
    """A worker, or with it a machine that was taken away."""

    def __init__(self, *, preempted: bool = False) -> None:
        super().__init__("The actor died. Worker exit detail: it was killed by a test")
        self.preempted = preempted


class Rehearsal:
    """Stands in for the package: calls are answered in the order in which they were made.

    Args:
        play: what a worker does with a part; a ``RayError`` that it raises is its death.
        begin: the same for a worker that begins; it is told how many began before.
        room: how many workers there is room for.
    """

    def __init__(
        self,
        play: Callable[[Any], Any],
        begin: Callable[[int], None] = lambda _: None,
        room: int = 99,
    ) -> None:
        self.play, self.begin, self.room = play, begin, room
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.hired = self.prepared = self.at_once = self.most_at_once = 0
        self.killed: list[int] = []
        self.calls: list[SimpleNamespace] = []

    def remote(self, _: type) -> "Rehearsal":
        return self

    def options(self, **_: Any) -> Any:
        return SimpleNamespace(remote=self._hire)

    def _hire(self) -> Any:
        self.hired += 1
        number = self.hired
        return SimpleNamespace(
            number=number,
            hello=SimpleNamespace(remote=lambda: self._call(lambda: f"{number} on stage", number)),
            prepare=SimpleNamespace(remote=lambda *_: self._call(self._prepare, number)),
            do=SimpleNamespace(remote=lambda part: self._call(lambda: self._do(part), number)),
        )

    def _prepare(self) -> Outcome:
        self.prepared += 1
        self.begin(self.prepared - 1)
        return Outcome()

    def _do(self, part: Any) -> Outcome:
        try:
            return Outcome(self.play(part), 2.0)
        except RayError:
            raise
        except Exception as error:
            return Outcome(error=error)

    class _Call(SimpleNamespace):
        __hash__ = object.__hash__  # type: ignore[assignment]
        __eq__ = object.__eq__

    def _call(self, answer: Callable[[], Any], number: int) -> Any:
        call = self._Call(answer=answer, number=number)
        self.calls.append(call)
        self.most_at_once = max(self.most_at_once, len(self.calls))
        return call

    def wait(self, calls: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], Any]:
        able = [one for one in self.calls if one in calls and one.number <= self.room]
        return able[:1], []

    def get(self, call: Any) -> Any:
        self.calls.remove(call)
        return call.answer()

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.number)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}


def _crew(ray: Rehearsal, *, deaths: int = 3, patience: float = 0.0) -> Crew:
    terms = Terms(1, 0, Numerics(1, "highest", False), deaths, patience)
    return Crew(ray, terms, None, "part {}".format, lambda _: 5, lambda _: None)


def _run(ray: Rehearsal, workers: int, parts: Any, **terms: Any) -> tuple[list[Any], Crew]:
    with _crew(ray, **terms).hired(workers) as crew:
        return [result for _, result, _ in crew.run(parts)], crew


def test_every_part_once_and_one_on_its_way_for_each_worker() -> None:
    taken: list[int] = []
    ray = Rehearsal(lambda part: taken.append(part) or part * part)

    def source() -> Any:
        for part in range(7):
            assert part <= len(taken) + 3, "parts are not taken before somebody is free"
            yield part

    found, crew = _run(ray, 3, source())
    assert sorted(found) == [part * part for part in range(7)]
    assert sorted(taken) == list(range(7))
    assert ray.most_at_once == 3
    assert sum(one.parts for one in crew.rates) == 7
    assert {one.rate for one in crew.rates if one.parts} == {2.5}
    assert sorted(ray.killed) == [1, 2, 3], "all are sent home"


def test_a_part_whose_worker_died_comes_next_and_counts_once() -> None:
    taken: list[int] = []

    def play(part: int) -> int:
        taken.append(part)
        if part == 1 and taken.count(1) <= 2:
            raise Died
        return part

    ray = Rehearsal(play)
    found, crew = _run(ray, 1, range(4))
    assert found == [0, 1, 2, 3]
    assert taken == [0, 1, 1, 1, 2, 3]
    assert (ray.hired, crew.rates[0].lost, crew.rates[0].parts) == (3, 2, 4)


@pytest.mark.parametrize("deaths", [1, 3])
def test_a_part_that_kills_without_end_is_named(deaths: int) -> None:
    def play(part: int) -> int:
        if part == 1:
            raise Died
        return part

    ray, done = Rehearsal(play), list[int]()
    with pytest.raises(MachineError, match=f"part 1 killed its worker {deaths} times") as caught:
        with _crew(ray, deaths=deaths).hired(1) as crew:
            done.extend(result for _, result, _ in crew.run(range(4)))
    assert "(it was killed by a test)" in str(caught.value)
    assert done == [0]
    assert ray.hired == deaths


def test_a_machine_that_is_taken_away_is_not_its_part_s_fault() -> None:
    left = iter(range(20))

    def play(part: int) -> int:
        if next(left, None) is not None:
            raise Died(preempted=True)
        return part

    found, crew = _run(Rehearsal(play), 1, [7], deaths=1)
    assert (found, crew.rates[0].lost) == ([7], 20)


def test_workers_that_never_begin_end_the_run() -> None:
    def begin(_: int) -> None:
        raise Died

    with pytest.raises(MachineError, match="3 workers died before they could begin"):
        _run(Rehearsal(lambda part: part, begin), 2, range(3))


def test_twin_a_worker_that_begins_in_between_forgives_the_others() -> None:
    def begin(before: int) -> None:
        if before % 2 == 0:
            raise Died

    deaths: list[int] = []

    def play(part: int) -> int:
        deaths.append(part)
        if deaths.count(part) == 1:
            raise Died
        return part

    found, _ = _run(Rehearsal(play, begin), 1, range(5), deaths=2)
    assert found == list(range(5))


def test_those_who_have_room_work_while_others_wait() -> None:
    found, crew = _run(Rehearsal(lambda part: part, room=1), 3, range(5))
    assert sorted(found) == list(range(5))
    assert [one.parts for one in crew.rates] == [5, 0, 0]
    assert [one.state for one in crew.rates] == ["idle", "waiting", "waiting"]


def test_where_nobody_has_room_the_wait_ends() -> None:
    with pytest.raises(MachineError, match="asks for 1 CPUs and 0 GPUs, the cluster has 2 CPUs"):
        _run(Rehearsal(lambda part: part, room=0), 2, range(5), patience=-1.0)


def test_an_error_is_raised_as_it_is() -> None:
    def play(part: int) -> int:
        if part == 2:
            raise ZeroDivisionError("two")
        return part

    ray, done = Rehearsal(play), list[int]()
    with pytest.raises(ZeroDivisionError, match=r"^two$"):
        with _crew(ray).hired(1) as crew:
            done.extend(result for _, result, _ in crew.run(range(5)))
    assert done == [0, 1]
    assert ray.killed == [1]


def test_an_answer_that_cannot_be_sent_is_one_sentence() -> None:
    def play(part: int) -> int:
        raise RayTaskError("many lines\nTypeError: cannot pickle a lock")

    with pytest.raises(DataError, match=r"cannot be sent \(TypeError: cannot pickle a lock\)"):
        _run(Rehearsal(play), 1, range(2))
