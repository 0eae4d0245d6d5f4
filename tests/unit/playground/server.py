"""A playground in a process of its own, for as long as a test needs it."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START = "from shiftlens.cli.main import main; main()"
"""The command line, without a script on the path."""
_PATIENCE = 120  # seconds until a server must answer


@contextmanager
def running(run: Path, *options: str) -> Iterator[str]:
    """Serve a run; yields the address, and ends the server as Ctrl-C would."""
    port = free_port()
    command = [sys.executable, "-c", START, "serve", str(run), "--port", str(port), *options]
    with started(command, port) as (url, _):
        yield url


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def started(
    command: list[str], port: int, *, sound: bool = True
) -> Iterator[tuple[str, list[str]]]:
    """Run a server until the end of the block.

    Args:
        command: that starts it.
        port: where it listens.
        sound: whether nothing may go wrong in it.

    Yields:
        the address, and a list that holds what it said once it has ended.
    """
    said_at_last: list[str] = []
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait(server, f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/", said_at_last
    finally:
        server.send_signal(signal.SIGINT)
        try:
            said, _ = server.communicate(timeout=90)
        finally:
            server.kill()
    said_at_last.append(said)
    assert server.returncode == 0, said
    assert not sound or "Traceback" not in said, said


def _wait(server: "subprocess.Popen[str]", url: str) -> None:
    """Until it answers, whatever it answers."""
    assert server.stdout is not None
    line = ""
    while "stop with" not in line:  # it is said once the port is taken
        line = server.stdout.readline()
        assert line, f"the server ended with {server.wait(10)}"
    for _ in range(_PATIENCE):
        try:
            urllib.request.urlopen(url, timeout=_PATIENCE).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            continue
        return
