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
from rich.table import Column, Table

from shiftlens.cli.columns import fitted
from shiftlens.cli.plain_text import Harmless, plain
from shiftlens.core.progress import Progress, Silent

WIDTH = 80
_LABEL, _BAR, _RATE = 22, 10, 10  # of a bar: 123456/123456 and hours fit beside them


def console(*, stderr: bool = False) -> Console:
    """A console that is 80 columns wide where nobody looks, and coloured only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    made = Console(stderr=stderr, width=None if stream.isatty() else WIDTH, highlight=False)
    made.push_render_hook(Harmless())
    return made


class TerminalProgress:
    """One bar for the task that runs, with rate and time left; finished tasks leave no trace."""

    def __init__(self, bars: type[Bars] = Bars) -> None:
        self._bars = bars(
            TextColumn("{task.fields[label]}", markup=False, table_column=_cut(_LABEL)),
            BarColumn(bar_width=_BAR),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", table_column=_cut(_RATE)),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console(stderr=True),
            transient=True,
            speed_estimate_period=300,  # steps may take minutes
        )
        self._task: TaskID | None = None

    def start(self, label: str, total: int) -> None:
        """Show a fresh bar; a task that never stopped is replaced."""
        self.stop()
        self._bars.start()
        self._task = self._bars.add_task("", total=total or None, rate="", label=plain(label))

    def advance(self, n: int = 1) -> None:
        """Move the bar and bring the rate up to date."""
        if self._task is None:
            return
        self._bars.advance(self._task, n)
        speed = self._bars.tasks[-1].speed
        self._bars.update(self._task, rate=rate_text(speed))

    def stop(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._bars.stop()
            self._task = None


def _cut(width: int) -> Column:
    """A column of one line, as wide as it is, so that nothing moves while numbers grow."""
    return Column(width=width, no_wrap=True, overflow="ellipsis")


def rate_text(speed: float | None) -> str:
    """Steps a second; of slow ones how long each takes; nothing before it is known."""
    if not speed:
        return ""
    if speed < 1:
        return f"{1 / speed:.0f} s each" if speed < 0.1 else f"{1 / speed:.1f} s each"
    return f"{speed:.1f}/s" if speed < 10 else f"{speed:.0f}/s"


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
    """A plain table, as wide as the screen at most; see ``fitted``."""
    grid = fitted(columns, rows, console().width)
    if title:
        grid.title, grid.title_justify = title, "left"
    return grid
