"""Kill runs by SIGKILL at random times, let them go on, and compare with an undisturbed run."""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.comparing import differences
from tests.faults.phases import Phase
from tests.faults.scenes import Scene

_KILLS = 3  # at most, one run
_SLOW = 0.012  # seconds that a disk takes longer to force something down: kills hit it more often
_GRACE = 180.0  # seconds for the processes of a killed one to notice; Ray's agents look rarely
_PATIENCE = 600.0  # seconds that a run which nobody disturbs may take on a busy machine


def _nothing() -> None:
    """Prepare nothing."""


def _slow_disk() -> None:
    """Wait a little whenever this process forces something to the disk, as old disks do."""
    real = os.fsync

    def fsync(handle: int) -> None:
        time.sleep(_SLOW)
        real(handle)

    os.fsync = fsync


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have; none if it is gone."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(one) for one in file.read_text().split()]
    return found + [deeper for one in found for deeper in descendants(one)]


def name_of(pid: int) -> str:
    """What a process calls itself; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _outliving(pids: Sequence[int]) -> list[int]:
    """Those that are still there after a while."""
    end = time.monotonic() + _GRACE
    left = list(pids)
    while left and time.monotonic() < end:
        left = [one for one in left if is_alive(one)]
        time.sleep(0.01)
    return left


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@dataclass
class Child:
    """A forked process that works on a directory; its errors go to a file beside it."""

    scene: Scene
    work: Callable[[Path], object]
    out: Path
    prepare: Callable[[], None] = _nothing
    phase: Phase = field(default_factory=Phase)
    pid: int = 0

    def start(self) -> "Child":
        """Begin."""
        self.pid = os.fork()
        if not self.pid:
            self._live()
        return self

    def _live(self) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            sys.stderr = self.errors.open("w")
            self.phase.watch(parts=not self.scene.workers)
            self.prepare()
            self.work(self.out)
            self.phase.set("ended")
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    @property
    def errors(self) -> Path:
        """What it says before it fails."""
        return self.out.parent / f"{self.out.name}-{os.getpid() if not self.pid else self.pid}.err"

    def wait(self) -> int:
        """How it ends: 0, or minus the number of a signal.

        Raises:
            TimeoutError: it does not.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise TimeoutError(f"a run did not end in {_PATIENCE:.0f} s: {self.out}")

    def told(self) -> str:
        """The last line of its errors."""
        lines = self.errors.read_text().splitlines() if self.errors.exists() else []
        return lines[-1] if lines else "no error"


@dataclass
class Kills:
    """What was done, and what came of it.

    Attributes:
        landed: how many kills hit in each phase, by scene and phase.
        runs: how many runs were killed, gone on with and compared, by scene.
        workers: how many kills hit a process that a harvest had started.
        faults: what went wrong, a sentence each.
    """

    landed: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    runs: Counter[str] = field(default_factory=Counter[str])
    workers: int = 0
    faults: list[str] = field(default_factory=list[str])

    def in_phase(self, phase: str) -> int:
        """Kills in a phase, over all scenes."""
        return sum(n for (_, name), n in self.landed.items() if name == phase)


class Killer:
    """Runs scenes, kills them, and counts.

    Args:
        folder: where their stores go.
        seed: of every random choice. The same seed makes the same choices, but what a kill hits is
            the machine's to decide.
        prepare: done in every child before it works; for twins.
    """

    def __init__(self, folder: Path, seed: int, prepare: Callable[[], None] = _nothing) -> None:
        self.folder, self.random, self.prepare = folder, random.Random(seed), prepare
        self.kills = Kills()
        self._whole: dict[str, Path] = {}
        self._seconds: dict[str, float] = {}

    def run(self, scenes: Sequence[Scene], runs: int, told: Callable[[int], None]) -> Kills:
        """Kill so many runs, in turn of each scene; ``told`` hears of every one that is over."""
        for number in range(runs):
            scene = scenes[number % len(scenes)]
            out = self.folder / f"run-{number}"
            self._one(scene, out)
            told(number + 1)
        return self.kills

    def _one(self, scene: Scene, out: Path) -> None:
        whole = self.whole(scene)
        for attempt in range(self.random.randint(1, _KILLS)):
            # What is left to do becomes less: later kills come earlier.
            self._kill(scene, out, self.random.uniform(0, 1) * 0.75**attempt)
        self._finish(scene, out)
        found = differences(whole, out)
        self.kills.runs[scene.name] += 1
        self.kills.faults += [f"{scene.name}, {out.name}: {one}" for one in found]
        if not found:
            shutil.rmtree(out)

    def whole(self, scene: Scene) -> Path:
        """The undisturbed run of a scene."""
        if scene.name not in self._whole:
            out = self.folder / f"whole-{scene.name.replace(' ', '-')}"
            times = [self._undisturbed(scene, at) for at in (out.with_name(f"{out.name}-1"), out)]
            self._whole[scene.name], self._seconds[scene.name] = out, min(times)
        return self._whole[scene.name]

    def _undisturbed(self, scene: Scene, out: Path) -> float:
        """Run a scene to its end; how many seconds it takes on the slow disk."""
        began = time.monotonic()
        children = [Child(scene, work, out, _slow_disk).start() for work in scene.work]
        codes = [child.wait() for child in children]  # all of them, before anything is said
        if any(codes):
            raise RuntimeError(f"{scene.name} fails by itself: {children[0].told()}")
        return time.monotonic() - began

    def _kill(self, scene: Scene, out: Path, after: float) -> None:
        """Start all processes, kill one or all after a share of their time, await the others."""
        children = [Child(scene, work, out, self._slowly).start() for work in scene.work]
        together = len(children) > 1 and self.random.random() < 0.3
        victims = children if together else [self.random.choice(children)]
        time.sleep(after * self._seconds[scene.name])
        started = [pid for child in victims for pid in descendants(child.pid)]
        workers = [pid for pid in started if name_of(pid).startswith(scene.workers)]
        if workers and self.random.random() < 0.5:
            self.kills.workers += 1
            _kill(self.random.choice(workers))
            victims = []
        for child in victims:
            _kill(child.pid)
        for child in children:
            code = child.wait()
            if child in victims:
                self._count(scene, child, code)
            elif code:
                self._fault(scene, out, f"a process that was left alone ended with {child.told()}")
        orphans = _outliving(started)
        if orphans:
            names = ", ".join(name_of(pid).replace("\0", " ")[:40] for pid in orphans)
            self._fault(scene, out, f"{len(orphans)} of its processes outlived it: {names}")

    def _count(self, scene: Scene, child: Child, code: int) -> None:
        # Killed after its last line of work is killed after the end.
        phase = child.phase.name if code else "ended"
        self.kills.landed[scene.name, phase] += 1
        # Machines are faster at one time than at another: few kills should come too late.
        self._seconds[scene.name] *= 0.85 if phase == "ended" else 1.03
        if code not in (0, -signal.SIGKILL):
            self._fault(scene, child.out, f"a run went on with {child.told()}")

    def _slowly(self) -> None:
        _slow_disk()
        self.prepare()

    def _finish(self, scene: Scene, out: Path) -> None:
        children = [Child(scene, work, out, self.prepare).start() for work in scene.work]
        for child in children:
            if child.wait():
                self._fault(scene, out, f"the last run ended with {child.told()}")

    def _fault(self, scene: Scene, out: Path, text: str) -> None:
        self.kills.faults.append(f"{scene.name}, {out.name}: {text}")
