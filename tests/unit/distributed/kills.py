"""A harvest whose worker is killed in mid-run; run as a program, one whose driver will be.

    python -m tests.unit.distributed.kills MODEL PICTURES OUT

prints the workers' process ids once a part is finished, then waits to be killed.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from shiftlens.distributed.rates import WorkerRate


class KillsOne:
    """Kills a worker once two parts are finished; one that is in the midst of a part if it can."""

    def __init__(self) -> None:
        self.killed: int | None = None
        self._before: dict[int, int] = {}

    def __call__(self, rates: Sequence[WorkerRate]) -> None:
        busy = [one for one in rates if one.state == "working" and one.where]
        busy.sort(key=lambda one: one.parts != self._before.get(one.number))
        if self.killed is None and busy and sum(one.parts for one in rates) >= 2:
            self.killed = int(busy[0].where.split()[0])
            os.kill(self.killed, signal.SIGKILL)
        self._before = {one.number: one.parts for one in rates}


class WaitsToBeKilled:
    """Stops the driver for good once two parts are finished, and one of them is written down."""

    def __call__(self, rates: Sequence[WorkerRate]) -> None:
        if sum(one.parts for one in rates) >= 2:
            print(*(one.where.split()[0] for one in rates if one.where), flush=True)  # noqa: T201
            time.sleep(600)


def main(model: str, pictures: str, out: str) -> None:
    """Harvest until somebody ends it."""
    import torch
    from tests.builders import PROMPTS

    from shiftlens.activations.harvesting import harvest
    from shiftlens.activations.site import Site
    from shiftlens.data.sample import Sample, Samples
    from shiftlens.distributed.ray_executor import RayExecutor
    from shiftlens.models.loading import load_model

    torch.set_num_threads(1)
    paths = sorted(Path(pictures).iterdir())
    asked = [Sample(f"q{i}", one, (str(paths[i]),)) for i, one in enumerate(PROMPTS)]
    executor = RayExecutor(2, address="local", watch=WaitsToBeKilled())
    site, options = Site(-1), {"max_new_tokens": 2, "part_size": 1}
    harvest(load_model(model), Samples(asked), site, out, executor=executor, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
