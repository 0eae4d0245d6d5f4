"""Warm workers, and the parts that they are timed on."""

import hashlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from shiftlens.activations.job import Job
from shiftlens.activations.parts import harvest_part
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response
from shiftlens.core.allocator import keep_freed_memory
from shiftlens.core.progress import Silent
from shiftlens.data.reading import read
from shiftlens.data.sample import Sample
from shiftlens.distributed.crew import Crew, Terms
from shiftlens.distributed.packing import pack
from shiftlens.distributed.session import require_ray
from shiftlens.distributed.worker import Numerics
from shiftlens.models.loading import load_model
from shiftlens.world import models
from shiftlens.world.source import materialise

NEW = 24

Part = tuple[int, list[Sample]]


@dataclass(frozen=True)
class Bench:
    """A job on the world's pictures of people, cut into parts.

    Attributes:
        job: what every part has in common.
        parts: the parts.
    """

    job: Job
    parts: list[Part]

    @classmethod
    def open(cls, folder: Path, n: int, size: int) -> "Bench":
        """Draw the pictures and load the base.

        Args:
            folder: for pictures and shards.
            n: samples.
            size: of a part, and of a batch.
        """
        keep_freed_memory()  # as the command line does, and each worker
        samples = list(read(materialise("people", folder / "people", n=n, seed=0)))
        base = load_model(models.path("base"), device="cpu")
        site, roots = Site(-1, mean_response()).resolve(base), (folder / "store",)
        roots[0].mkdir()
        parts = [(at // size, samples[at : at + size]) for at in range(0, n, size)]
        return cls(Job((base,), roots, site, "own", NEW, size, Silent()), parts)

    @property
    def function(self) -> Callable[[Part], Any]:
        """What is done with a part."""
        return partial(harvest_part, self.job)

    def serially(self, threads: int) -> None:
        """Every part in this process."""
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for part in self.parts:
                self.function(part)
        finally:
            torch.set_num_threads(before)

    def digest(self) -> str:
        """Of every file that was written."""
        seen = hashlib.sha256()
        for file in sorted(self.job.roots[0].iterdir()):
            seen.update(file.name.encode() + file.read_bytes())
        return seen.hexdigest()

    def size(self) -> int:
        """Bytes of shards and rows."""
        return sum(file.stat().st_size for file in self.job.roots[0].iterdir())


@contextmanager
def warm(function: Callable[[Any], Any], workers: int) -> Generator[tuple[Crew, float]]:
    """Workers of one thread that have loaded what they need, and how many seconds they took."""
    ray, package = require_ray(), pack(function)
    start = time.perf_counter()
    terms = Terms(1, 0, Numerics.of_this_process(1), deaths=1, patience=300)
    work = ray.put(package.cargo)
    crew = Crew(ray, terms, work, package.name, package.samples, lambda _: None)
    with crew.hired(workers):
        crew.wait_until_ready()
        yield crew, time.perf_counter() - start


def nothing(part: int) -> int:
    """What is timed for the driver alone."""
    return part
