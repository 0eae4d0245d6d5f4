"""``RayExecutor``: the parts of a run on the workers of a Ray cluster, or of one machine."""

import os
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import Any, TypeVar

from shiftlens.core.errors import DataError
from shiftlens.distributed.arrival import require_arrived
from shiftlens.distributed.crew import Crew, Terms
from shiftlens.distributed.packing import Package, pack, without_recorders
from shiftlens.distributed.rates import Watch, WorkerRate
from shiftlens.distributed.session import connected, require_ray
from shiftlens.distributed.worker import Numerics

Part = TypeVar("Part")
Result = TypeVar("Result")


class RayExecutor:
    """Runs parts in processes of their own, on one machine or many (extra ``ray``).

    Each worker is sent the models once and writes its own shards, so ``out`` must be a path that
    all machines share. This process alone writes journals: when it is killed, the same call goes
    on. A worker or a machine that dies is replaced, and its part is done again. The store is the
    same to the byte for any number of workers, and as a serial run with as many threads and the
    same device type.

    Args:
        workers: how many; as many as there is room for by default, and never more than parts.
        address: ``local`` for a Ray of its own, which ends with the run; ``auto`` for the one that
            runs here or that ``RAY_ADDRESS`` names; else where it is (``host:6379``,
            ``ray://host:10001``). ``None`` is the Ray of this process, or ``local``.
        cpus_per_worker: what each worker takes of a machine.
        gpus_per_worker: the same for GPUs, ``0.5`` for two workers on one; by default 1 for models
            on a GPU and 0 for others.
        threads: of torch in each worker, which decide last digits; ``cpus_per_worker`` by default.
        deaths: how many workers one part may kill before the run is given up.
        patience: seconds to wait for room on the cluster while nobody works.
        arrival: seconds that a shared file system may take to show here what a worker wrote.
        watch: who is told whenever a worker begins, ends a part, or dies.

    Attributes:
        rates: what each worker did in the run that is under way, or that ended last.

    Raises:
        DataError: a number that is not possible.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        address: str | None = None,
        cpus_per_worker: float = 1,
        gpus_per_worker: float | None = None,
        threads: int | None = None,
        deaths: int = 3,
        patience: float = 900.0,
        arrival: float = 90.0,
        watch: Watch | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise DataError(f"{workers} workers", allowed="1 or more")
        if cpus_per_worker <= 0 or (gpus_per_worker or 0) < 0:
            raise DataError(
                f"workers of {cpus_per_worker} CPUs and {gpus_per_worker} GPUs",
                allowed="more than 0 CPUs, and 0 GPUs or more",
            )
        if deaths < 1 or (threads is not None and threads < 1):
            raise DataError(f"{deaths} deaths and {threads} threads", allowed="1 or more of each")
        self.rates: tuple[WorkerRate, ...] = ()
        self._workers, self._address = workers, address
        self._cpus, self._gpus = cpus_per_worker, gpus_per_worker
        self._threads = threads or max(1, int(cpus_per_worker))
        self._deaths, self._patience, self._arrival = deaths, patience, arrival
        self._watch = watch

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """Yield one result per part as they become ready, in any order.

        A harvest's listener stays here, and is told of a part's samples when the part is done.

        Raises:
            Exception: what a part raised, of its own type; results that were ready come before it.
            DataError: ray is not installed, or the function cannot be sent.
            MachineError: Ray does not answer, a part killed its workers again and again, no worker
                could begin, or a worker wrote to a disk that this machine does not see.
        """
        package = pack(function)
        gpus = self._share_of_gpu(package)
        most = length_hint(parts, 2**31)
        if not most:
            return
        wanted = min(self._workers or self._on_this_machine(gpus), most)
        numerics = Numerics.of_this_process(self._threads)
        terms = Terms(self._cpus, gpus, numerics, self._deaths, self._patience)
        cpus, gpus, weights = wanted * self._cpus, wanted * gpus, package.size
        with connected(self._address, cpus=cpus, gpus=gpus, weights=weights) as there:
            ray = require_ray()
            work = _sent(ray, package)
            crew = Crew(ray, terms, work, package.name, package.samples, self._told)
            with crew.hired(min(self._workers or _room(there, terms), most)):
                for part, result, where in crew.run(parts):
                    if package.counts:
                        require_arrived(package.roots, result[1], where, self._arrival)
                    package.listener.advance(package.samples(part))
                    yield result

    def _told(self, rates: Any) -> None:
        self.rates = tuple(rates)
        if self._watch is not None:
            self._watch(rates)

    def _share_of_gpu(self, package: Package) -> float:
        """GPUs of one worker; the device type of the models is part of what a run is."""
        on_gpu = package.device == "cuda"
        gpus = self._gpus if self._gpus is not None else float(on_gpu)
        if package.models and on_gpu != bool(gpus):
            raise DataError(
                f"the models are on {package.device}, and workers are given {gpus:g} GPUs",
                allowed="models on a GPU for workers with one, on the CPU for others",
                remedy='load_model(..., device="cuda")' if gpus else "gpus_per_worker=1",
            )
        return gpus

    def _on_this_machine(self, gpus: float) -> int:
        """How many workers a Ray of its own is made for, where no number is given."""
        if gpus:
            import torch

            return max(1, int(torch.cuda.device_count() / gpus))
        return max(1, int((os.cpu_count() or 1) / self._cpus))


def _room(there: dict[str, float], terms: Terms) -> int:
    """How many workers a cluster has room for; one at least, which waits for it."""
    found = int(there.get("CPU", 0) / terms.cpus)
    if terms.gpus:
        found = min(found, int(there.get("GPU", 0) / terms.gpus))
    return max(1, found)


def _sent(ray: Any, package: Package) -> Any:
    """Put the function, models and all, where every worker can fetch it."""
    try:
        with without_recorders(package.modules):
            return ray.put(package.cargo)
    except (TypeError, AttributeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"the work cannot be sent to other processes ({reason:.200})",
            allowed="models without hooks or parts that hold open files, locks or lambdas",
            remedy="run shares instead: shiftlens harvest --part 1/8",
        ) from error
