"""A playground in a process of its own whose model goes on and on, or fails, when it is told to."""

import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from shiftlens.models.model import Model
from shiftlens.playground.desk import Desk, Moment
from shiftlens.playground.serving import Address, prepare, serve
from shiftlens.playground.setting import Setting

ENDLESS, FAULT, FULL = "go on", "fail", "fill the memory"
"""Prompts that are answered otherwise."""


class OddDesk(Desk):
    """Leaves a file when an endless answer begins, and another when it ends."""

    def __init__(self, model: Model, folder: Path) -> None:
        super().__init__(model)
        self._folder = folder

    def answers(self, setting: Setting, picture: Any) -> Generator[Moment]:
        """Word by word."""
        if setting.prompt == FAULT:
            raise RuntimeError("device-side assert in /secret/place")
        if setting.prompt == FULL:
            raise MemoryError
        if setting.prompt == ENDLESS:
            yield from self._streamed(self._endless)
        else:
            yield from super().answers(setting, picture)

    def _endless(self, told: Any) -> None:
        try:
            for at in range(10_000):
                told(Moment(" word" * (at % 9 + 1)))
                (self._folder / "began").touch()
                time.sleep(0.05)
        finally:
            (self._folder / "ended").touch()


def main(run: str, model: str, port: str, folder: str) -> None:
    """Serve until Ctrl-C."""
    shown = prepare(run, model=model)
    assert shown.desk is not None
    odd = replace(shown, desk=OddDesk(shown.desk.model, Path(folder)))
    serve(odd, Address(port=int(port)), ready=_ready)


def _ready(url: str) -> None:
    sys.stdout.write(f"open {url}\nstop with Ctrl-C\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
