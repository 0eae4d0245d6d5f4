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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", START, "serve", str(run), "--port", str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait(server, f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.send_signal(signal.SIGINT)
        try:
            said, _ = server.communicate(timeout=90)
        finally:
            server.kill()
    assert server.returncode == 0, said
    assert "Traceback" not in said, said


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
