"""The workers of one run: who does which part, and what happens when one of them dies."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from shiftlens.core.errors import DataError, MachineError
from shiftlens.distributed.rates import Watch, WorkerRate
from shiftlens.distributed.worker import Numerics, Outcome, Worker

_LOOK = 0.5  # seconds after which an interrupt, or patience at its end, is noticed


@dataclass(frozen=True)
class Terms:
    """What every worker is given, and how much is borne.

    Attributes:
        cpus: of one worker.
        gpus: of one worker; shares are possible.
        numerics: see there.
        deaths: of workers over one part, or at their start one after the other, before the run is
            given up.
        patience: seconds to wait for room on a machine while nobody works.
    """

    cpus: float
    gpus: float
    numerics: Numerics
    deaths: int
    patience: float


@dataclass
class _Task:
    part: Any
    deaths: int = 0


@dataclass
class _Seat:
    """One worker's place: who sits there, and what he was asked last.

    Attributes:
        rate: what the place has done, over all who sat there.
        actor: who sits there now.
        call: what he was asked, and has not answered.
        task: the part that he is at; ``None`` while he begins.
    """

    rate: WorkerRate
    actor: Any = None
    call: Any = None
    task: _Task | None = None


@dataclass
class Crew:
    """Workers that hold one function, and are given one part at a time.

    A part waits here until a worker is free: of the samples of a run, those of as many parts as
    there are workers are on their way, and a worker that dies loses one part.

    Attributes:
        ray: the package, connected.
        terms: what workers are given.
        work: reference to the function.
        name: what a person calls a part.
        samples: how many samples a part holds.
        watch: who is told.
    """

    ray: Any
    terms: Terms
    work: Any
    name: Callable[[Any], str]
    samples: Callable[[Any], int]
    watch: Watch
    _seats: list[_Seat] = field(default_factory=list[_Seat])
    _next: deque[_Task] = field(default_factory=deque[_Task])
    _false_starts: int = 0
    _idle_since: float = 0.0

    def __post_init__(self) -> None:
        self._kind = self.ray.remote(Worker)

    @property
    def rates(self) -> tuple[WorkerRate, ...]:
        """What each worker has done."""
        return tuple(seat.rate for seat in self._seats)

    @contextmanager
    def hired(self, workers: int) -> Generator["Crew"]:
        """Have workers for the time of a block."""
        self._idle_since = time.monotonic()
        try:
            for number in range(1, workers + 1):
                seat = _Seat(WorkerRate(number))
                self._seats.append(seat)
                self._hire(seat)
            yield self
        finally:
            for seat in self._seats:
                self._dismiss(seat)

    def wait_until_ready(self) -> None:
        """Let every worker load what it needs; ``run`` does not ask for that."""
        while any(seat.call is not None for seat in self._seats):
            for seat in self._answered():
                self._settle(seat)

    def run(self, parts: Iterable[Any]) -> Iterator[tuple[Any, Any, str]]:
        """Yield each part with its result and whose it is, as they become ready.

        Raises:
            Exception: what a part raised; parts that were ready by then are yielded before.
            MachineError: a part killed its workers again and again, or no worker could begin.
        """
        source = iter(parts)
        while self._look_ahead(source) or any(seat.task is not None for seat in self._seats):
            self._give(source)
            failed: Exception | None = None
            for seat in self._answered():
                task, outcome = seat.task, self._settle(seat)
                if task is None or outcome is None:
                    continue
                if outcome.error is not None:
                    failed = failed or outcome.error
                    continue
                self._count(seat, task, outcome)
                yield task.part, outcome.result, seat.rate.where
            if failed is not None:
                raise failed
        for seat in self._seats:
            if seat.call is None:
                self._note(seat, state="idle")

    def _look_ahead(self, source: Iterator[Any]) -> bool:
        """Whether there is a part to be given; those whose worker died come first."""
        if not self._next:
            self._next.extend(_Task(part) for part in islice(source, 1))
        return bool(self._next)

    def _give(self, source: Iterator[Any]) -> None:
        """Give every free worker a part, while there are any."""
        for seat in self._seats:
            if seat.call is not None:
                continue
            if not self._look_ahead(source):
                self._note(seat, state="idle")
                continue
            seat.task = self._next.popleft()
            seat.call = seat.actor.do.remote(seat.task.part)
            self._note(seat, state="working")

    def _answered(self) -> list[_Seat]:
        """Places from which there is news: an answer, or that nobody is there any more."""
        calls = {seat.call: seat for seat in self._seats if seat.call is not None}
        first, _ = self.ray.wait(list(calls), num_returns=1, timeout=_LOOK)
        if not first:
            self._bear()
            return []
        ready, _ = self.ray.wait(list(calls), num_returns=len(calls), timeout=0)
        return [calls[call] for call in ready]

    def _settle(self, seat: _Seat) -> Outcome | None:
        """Take an answer; a worker that begins goes on, one that is dead is replaced."""
        call, task = seat.call, seat.task
        seat.call = seat.task = None
        try:
            answer: Any = self.ray.get(call)
        except self.ray.exceptions.RayTaskError as error:
            raise DataError(
                f"a worker's answer cannot be sent ({_first_line(error)})",
                allowed="functions whose results and errors can leave their process",
            ) from error
        except self.ray.exceptions.RayError as error:
            self._replace(seat, task, error)
            return None
        if isinstance(answer, str):  # hello: there is room for it
            self._note(seat, where=answer, state="loading")
            seat.call = seat.actor.prepare.remote([self.work], self.terms.numerics)
            return None
        if task is None:
            if answer.error is not None:
                raise answer.error
            self._false_starts = 0
            self._note(seat, state="idle")
        return answer

    def _replace(self, seat: _Seat, task: _Task | None, error: Any) -> None:
        """Hire another worker for the place of a dead one, and do its part again."""
        reason = _reason(error)
        if task is None:
            self._false_starts += 1
            if self._false_starts >= self.terms.deaths:
                raise MachineError(
                    f"{self._false_starts} workers died before they could begin ({reason})",
                    remedy="see that shiftlens and its models fit on every machine of the cluster",
                ) from error
        else:
            # A machine that is taken away says nothing about the part that it was at.
            task.deaths += not getattr(error, "preempted", False)
            if task.deaths >= self.terms.deaths:
                raise MachineError(
                    f"{self.name(task.part)} killed its worker {task.deaths} times ({reason})",
                    allowed="parts that were finished before are kept",
                    remedy="look for a broken picture among its samples, or give workers more room",
                ) from error
            self._next.appendleft(task)
        self._dismiss(seat)
        self._note(seat, lost=seat.rate.lost + 1)
        self._hire(seat)

    def _hire(self, seat: _Seat) -> None:
        options = {"num_cpus": self.terms.cpus, "num_gpus": self.terms.gpus, "max_restarts": 0}
        seat.actor = self._kind.options(**options).remote()
        seat.call, seat.task = seat.actor.hello.remote(), None
        self._note(seat, where="", state="waiting")

    def _dismiss(self, seat: _Seat) -> None:
        if seat.actor is not None and self.ray.is_initialized():
            with suppress(Exception):  # whoever is dead already has nothing to lose
                self.ray.kill(seat.actor)
        seat.actor = seat.call = seat.task = None

    def _bear(self) -> None:
        """Give up where nobody works and nobody is let in."""
        if any(seat.rate.state != "waiting" for seat in self._seats if seat.call is not None):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > self.terms.patience:
            there = self.ray.cluster_resources()
            has = ", ".join(f"{there.get(one, 0):g} {one}s" for one in ("CPU", "GPU"))
            raise MachineError(
                f"no worker was given room within {self.terms.patience:g} s: each asks for "
                f"{self.terms.cpus:g} CPUs and {self.terms.gpus:g} GPUs, the cluster has {has}",
                remedy="ask for less a worker, add machines, or wait until others have finished",
            )

    def _count(self, seat: _Seat, task: _Task, outcome: Outcome) -> None:
        rate = seat.rate
        self._note(
            seat,
            parts=rate.parts + 1,
            samples=rate.samples + self.samples(task.part),
            seconds=rate.seconds + outcome.seconds,
        )

    def _note(self, seat: _Seat, **changes: Any) -> None:
        before, seat.rate = seat.rate, replace(seat.rate, **changes)
        if seat.rate != before:
            self.watch(self.rates)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _reason(error: BaseException) -> str:
    """The part of Ray's report that says how a worker died, on one line."""
    text = " ".join(str(error).split())
    for mark in ("Worker exit detail: ", "error_message: ", "creation task, "):
        if mark in text:
            text = text.split(mark, 1)[1]
    text = text.split(" Some common causes")[0]
    return text if len(text) <= 200 else text[:197] + "..."
