"""A harvest on workers of Ray: the option, the screen while they work, and what each has done."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import RenderableType
from rich.progress import Progress as Bars

from shiftlens.cli.terminal import TerminalProgress, console, on_screen, progress, table
from shiftlens.core.progress import Silent

if TYPE_CHECKING:
    from shiftlens.distributed.rates import WorkerRate
    from shiftlens.distributed.ray_executor import RayExecutor


class Workers:
    """Who runs the parts of a harvest: this process, or workers where a Ray was named.

    Args:
        ray: ``local``, ``auto``, an address, or nothing for this process.
        workers: how many; all there is room for.
        gpus: of each; by default one for models on a GPU.
        quiet: whether nothing is shown while they work.

    Raises:
        BadParameter: a number that is not possible, or one without a Ray.
    """

    def __init__(self, ray: str, workers: int | None, gpus: float | None, *, quiet: bool) -> None:
        if not ray and (workers is not None or gpus is not None):
            raise typer.BadParameter(
                "workers are Ray's: say which Ray, such as local",
                param_hint="--workers" if workers is not None else "--gpus-per-worker",
            )
        if workers is not None and workers < 1:
            raise typer.BadParameter("at least one worker", param_hint="--workers")
        if gpus is not None and gpus < 0:
            raise typer.BadParameter("0, 1, or a share such as 0.5", param_hint="--gpus-per-worker")
        self._ray, self._n, self._gpus, self._quiet = ray, workers, gpus, quiet
        self._executor: RayExecutor | None = None

    def options(self) -> dict[str, Any]:
        """The options of ``harvest`` that make them run the parts, and show how far they are.

        Raises:
            DataError: ray is not installed.
        """
        if not self._ray:
            return {"progress": progress(quiet=self._quiet)}
        from shiftlens.distributed.ray_executor import RayExecutor
        from shiftlens.distributed.session import require_ray

        require_ray()
        screen = WorkersProgress() if on_screen(quiet=self._quiet) else None
        self._executor = RayExecutor(
            self._n,
            address=self._ray,
            gpus_per_worker=self._gpus,
            watch=screen.watch if screen else None,
        )
        return {"executor": self._executor, "progress": screen or Silent()}

    def documents(self) -> dict[str, Any]:
        """What each of them did, as JSON; nothing where there are none."""
        rates = self._executor.rates if self._executor else ()
        return {"workers": [one.to_dict() for one in rates]} if self._ray else {}

    def print_summary(self) -> None:
        """How fast they were together, and how many died."""
        rates = self._executor.rates if self._executor else ()
        parts, lost = sum(one.parts for one in rates), sum(one.lost for one in rates)
        if not parts:
            return
        speed = sum(one.rate or 0.0 for one in rates)
        died = f"; {lost} died, and their parts were done again" if lost else ""
        each = f"{parts} parts by {len(rates)} workers, {speed:.1f} samples/s together"
        console().print(f"  {each}{died}", markup=False)


class _Bars(Bars):
    """A bar with lines below it."""

    workers: "Sequence[WorkerRate]" = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then the workers."""
        yield from super().get_renderables()
        if self.workers:
            yield workers_table(self.workers)


class WorkersProgress(TerminalProgress):
    """The whole run as a bar, and below it a line for each worker; it leaves no trace."""

    _bars: _Bars

    def __init__(self) -> None:
        super().__init__(_Bars)

    def stop(self) -> None:
        """Remove the bar and the lines."""
        super().stop()
        self._bars.workers = ()

    def watch(self, rates: "Sequence[WorkerRate]") -> None:
        """Take in what each worker has done."""
        self._bars.workers = tuple(rates)


def workers_table(rates: "Sequence[WorkerRate]") -> RenderableType:
    """One line a worker: where it lives, what it does, how fast it is."""
    columns = ("worker", "parts", "samples/s", "lost", "state", "process")
    rows = [
        (
            f"{one.number}",
            f"{one.parts}",
            "" if one.rate is None else f"{one.rate:.1f}",
            f"{one.lost or ''}",
            one.state,
            one.where,
        )
        for one in rates
    ]
    return table("", columns, rows)
