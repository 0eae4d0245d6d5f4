"""The Ray that a run uses: found, knocked at, started and ended; and nothing of it stays behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shiftlens.core.errors import MachineError
from shiftlens.distributed.session import connected

ROOT = Path(__file__).parents[3]


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, so that nobody else is given it
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_where_nobody_answers_it_is_said_at_once(closed: str, form: str) -> None:
    address = form.format(closed)
    with pytest.raises(MachineError, match=f"no Ray answers at {address}") as caught:
        with connected(address, cpus=1, gpus=0, weights=0):
            pass
    assert "ray start --head" in caught.value.remedy


def test_auto_knocks_where_the_environment_points(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", closed)
    with pytest.raises(MachineError, match=f"no Ray answers at {closed}"):
        with connected("auto", cpus=1, gpus=0, weights=0):
            pass


@pytest.mark.slow
def test_a_ray_of_its_own_ends_with_the_run_and_leaves_nothing() -> None:
    import ray

    before = {k: v for k, v in os.environ.items() if k != "RAY_CLIENT_MODE"}
    folders = set(Path(tempfile.gettempdir()).glob("shiftlens-ray-*"))
    with connected("local", cpus=2, gpus=0, weights=0) as there:
        assert there["CPU"] == 2
        assert ray.is_initialized()
        own = set(Path(tempfile.gettempdir()).glob("shiftlens-ray-*")) - folders
        assert own, "twin: there was something to be left"
    assert not ray.is_initialized()
    assert not any(folder.exists() for folder in own)
    assert {k: v for k, v in os.environ.items() if k != "RAY_CLIENT_MODE"} == before


@pytest.mark.slow
def test_a_death_is_told_by_the_run_alone(tmp_path: Path) -> None:
    """Ray would print it on the standard output, where the JSON of a command stands."""
    program = (
        "from functools import partial; from pathlib import Path\n"
        "from shiftlens.distributed.ray_executor import RayExecutor\n"
        "from tests.unit.distributed import work\n"
        "executor = RayExecutor(1, address='local')\n"
        f"function = partial(work.die_once, Path({str(tmp_path)!r}))\n"
        "print(sorted(executor.map(function, [1, 2])), executor.rates[0].lost)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.stdout, done.stderr) == ("[1, 2] 1\n", "")


@pytest.mark.slow
def test_more_gpus_than_the_machine_has_are_refused() -> None:
    with pytest.raises(MachineError, match="ask for 64 GPUs and this machine has"):
        with connected("local", cpus=1, gpus=64, weights=0):
            pass


@pytest.mark.slow
def test_a_cluster_that_was_started_elsewhere_is_used_and_goes_on(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5" * 64, "NO_COLOR": "1"}
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        start = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block"]
        options = ["--num-cpus", "2", "--include-dashboard", "false", "--disable-usage-stats"]
        places = ["--port", str(port), "--temp-dir", folder, "--object-store-memory", "100000000"]
        head = subprocess.Popen(
            [*start, *options, *places],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            assert head.stdout is not None
            assert any("--block" in line for line in head.stdout), "it has started"
            program = (
                "from shiftlens.distributed.ray_executor import RayExecutor\n"
                "from tests.unit.distributed import work\n"
                f"executor = RayExecutor(1, address='127.0.0.1:{port}')\n"
                "print(sorted(executor.map(work.square, [2, 3])))\n"
            )
            for _ in range(2):  # the second finds it as the first did
                done = subprocess.run(
                    [sys.executable, "-c", program],
                    cwd=ROOT,
                    env={**env, "PYTHONPATH": str(ROOT)},
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
                assert done.stdout == "[4, 9]\n", done.stderr
            assert head.poll() is None
        finally:
            head.terminate()
            with suppress(subprocess.TimeoutExpired):
                head.communicate(timeout=60)
            with suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)
