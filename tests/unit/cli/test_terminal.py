"""On a terminal: colours unless NO_COLOR, a bar with rate and time left; elsewhere neither."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from shiftlens.cli.terminal import rate_text

_COLOURED = "from shiftlens.cli.terminal import console; console().print('[red]so[/red]')"
_BAR = """
import time
from shiftlens.cli.terminal import progress
bar = progress()
bar.start("a task with a very long name, longer than there is room for", 123456)
for _ in range(8):
    bar.advance(12345)
    time.sleep(0.15)
bar.stop()
"""


def _on_a_terminal(code: str, columns: int = 80, **environment: str) -> str:
    """What a program writes to a terminal of some width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**kept, "TERM": "xterm-256color", **environment},
    )
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the last writer has gone
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert process.wait(timeout=60) == 0
    return written.decode()


def test_a_terminal_has_colours_and_no_color_is_honoured() -> None:
    assert "\x1b[31mso" in _on_a_terminal(_COLOURED)
    assert "\x1b[31m" not in _on_a_terminal(_COLOURED, NO_COLOR="1")


def test_elsewhere_there_are_none_and_no_bar() -> None:
    for code in (_COLOURED, _BAR):
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
        )
        assert "\x1b" not in run.stdout + run.stderr
        assert run.stderr == ""


def test_a_bar_fits_and_tells_rate_and_time_left() -> None:
    written = _on_a_terminal(_BAR)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", written)]
    bars = [line for line in lines if "/123456" in line]
    assert bars
    assert max(map(len, bars)) <= 80
    assert re.search(r"a task with.*… .*98760/123456 +\d+/s +0:\d\d:\d\d +\d\d:\d\d left", bars[-1])


@pytest.mark.parametrize(
    ("speed", "text"),
    [(None, ""), (1234.4, "1234/s"), (3.21, "3.2/s"), (0.5, "2.0 s each"), (0.011, "91 s each")],
)
def test_a_rate_is_read_at_a_glance(speed: float | None, text: str) -> None:
    assert rate_text(speed) == text
