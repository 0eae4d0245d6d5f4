"""What a person sees in the terminal: bars, tables, one-sentence errors."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from shiftlens.core.progress import Progress, Silent

WIDTH = 80


def console(*, stderr: bool = False) -> Console:
    """A console that is 80 columns wide where nobody looks, and coloured only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else WIDTH, highlight=False)


class TerminalProgress:
    """One bar for the task that runs, with rate and time left; finished tasks leave no trace."""

    def __init__(self, bars: type[Bars] = Bars) -> None:
        self._bars = bars(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None

    def start(self, label: str, total: int) -> None:
        """Show a fresh bar; a task that never stopped is replaced."""
        self.stop()
        self._bars.start()
        self._task = self._bars.add_task(label, total=total, rate="")

    def advance(self, n: int = 1) -> None:
        """Move the bar and bring the rate up to date."""
        if self._task is None:
            return
        self._bars.advance(self._task, n)
        speed = self._bars.tasks[-1].speed
        self._bars.update(self._task, rate=f"{speed:.0f}/s" if speed else "")

    def stop(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.stop()
            self._task = None


def progress(*, quiet: bool = False) -> Progress:
    """A bar on a terminal, and nothing anywhere else."""
    return TerminalProgress() if on_screen(quiet=quiet) else Silent()


def on_screen(*, quiet: bool = False) -> bool:
    """Whether somebody looks at what moves."""
    return sys.stderr.isatty() and not quiet


def print_json(value: Any) -> None:
    """A document for other programs: indented, and never wrapped."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    console().print(text, markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table: the first column left, the others right."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for index, column in enumerate(columns):
        grid.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid
