"""A run to show, and a server that shows it, both gone afterwards."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import shiftlens as sl

_MODEL = "world:base"
_SAMPLES = 24
_START = "from shiftlens.cli.main import main; main()"


@dataclass(frozen=True)
class Server:
    """A playground in a process of its own.

    Attributes:
        url: its address.
        pid: its process.
    """

    url: str
    pid: int

    @property
    def memory(self) -> float:
        """Resident bytes, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def make_run(root: Path) -> Path:
    """States of a few drawn pictures, and a direction between two halves of them."""
    from shiftlens.world.source import materialise

    model = sl.load_model(_MODEL)
    samples = sl.read(materialise("captions", root / "pictures", n=_SAMPLES, seed=0))
    site = sl.Site(model.address.n_layers - 2, sl.tokens.last_prompt())
    store = sl.harvest(model, samples, site, root / "run" / "states", max_new_tokens=20)
    states = store.states().float()
    half = len(states) // 2
    direction = states[:half].mean(dim=0) - states[half:].mean(dim=0)
    sl.SteeringVector(
        direction=direction / direction.norm() * states.norm(dim=1).mean() / 4,
        site=store.site_at(),
        name="one half to the other",
        kind="mean difference",
        state_norm=float(states.norm(dim=1).mean()),
        provenance={key: store.provenance[key] for key in ("model", "data")},
    ).save(root / "run" / "vector")
    return root / "run"


@contextmanager
def serving(run: Path) -> Iterator[Server]:
    """Serve a run as ``shiftlens serve`` does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["serve", str(run), "--model", _MODEL, "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        while "stop with" not in (line := process.stdout.readline()):
            if not line:
                raise RuntimeError(f"the server ended with {process.wait(10)}")
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
