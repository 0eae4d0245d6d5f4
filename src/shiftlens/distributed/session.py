"""The Ray that a run uses: one that is there, or one of its own that ends with it."""

import logging
import math
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shiftlens.core.errors import DataError, MachineError

_SPARE = 256 * 2**20  # bytes of the object store beside the weights: samples and results
_LONGEST = 20  # characters of a temporary directory under which Ray's sockets still have names
_ADDRESS = re.compile(r"(?:ray://)?([^/:]+|\[.+\]):(\d{1,5})")
_KNOCK = 10.0  # seconds
_LINGERING = 5.0  # seconds in which Ray's processes may still write logs while they end
_SKIPPED = "RAY_DEDUP_LOGS_SKIP_REGEX"
# Only where the user has not said otherwise.
_DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what its next version does; silences a warning
}


def require_ray() -> Any:
    """The package, late: it takes a second to import.

    Where it is imported here, it does not print what happens to workers: it would do so on the
    standard output, in the midst of JSON, and a run tells it by itself.

    Raises:
        DataError: it is not installed.
    """
    silent = _SKIPPED not in os.environ and "ray" not in sys.modules
    if silent:
        os.environ[_SKIPPED] = "."  # read when it is imported, and never again
    try:
        import ray
    except ImportError as error:
        raise DataError(
            "running parts on Ray needs the package ray", remedy='pip install "shiftlens[ray]"'
        ) from error
    finally:
        if silent:
            del os.environ[_SKIPPED]
    return ray


@contextmanager
def connected(
    address: str | None, *, cpus: float, gpus: float, weights: int
) -> Generator[dict[str, float]]:
    """Hold a connection to Ray; what was started here ends here.

    Args:
        address: ``None`` for the Ray of this process if it has one, else one of its own;
            ``local`` for one of its own; ``auto`` for the one that runs on this machine, or that
            ``RAY_ADDRESS`` names; else where it is: ``host:6379``, ``ray://host:10001``.
        cpus: what a Ray of its own may hand out, as often as workers ask for one.
        gpus: how many GPUs workers will ask for in all.
        weights: bytes of models that each worker is sent.

    Yields:
        what there is to be handed out, by name (``CPU``, ``GPU``).

    Raises:
        DataError: ray is not installed, or this process uses another Ray already.
        MachineError: nothing answers there, or this machine has fewer GPUs than are asked for.
    """
    ray = require_ray()
    if ray.is_initialized():
        if address not in (None, "auto"):
            raise DataError(
                f"this process is connected to a Ray already, so {address} cannot be used",
                allowed="address=None or 'auto' for the one that it has",
                remedy="ray.shutdown() first",
            )
        yield ray.cluster_resources()
        return
    _require_answer(address)
    with _quietly(), _scratch() as scratch:
        options: dict[str, Any] = {"address": address}
        if address in (None, "local"):
            size = max(int(1.5 * weights) + _SPARE, 2 * _SPARE)
            options = {
                "address": "local",
                "num_cpus": max(1, math.ceil(cpus)),
                "include_dashboard": False,
                "object_store_memory": size,
                "_temp_dir": scratch,
            }
        _begin(ray, address or "local", options)
        try:
            found: dict[str, float] = ray.cluster_resources()
            if address in (None, "local") and found.get("GPU", 0) < gpus:
                raise MachineError(
                    f"workers ask for {gpus:g} GPUs and this machine has {found.get('GPU', 0):g}",
                    remedy="ask for fewer workers, or for a smaller share of a GPU for each",
                )
            yield found
        finally:
            ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Knock first: Ray itself would wait for minutes, and complain all the while."""
    named = os.environ.get("RAY_ADDRESS") if address == "auto" else address
    found = _ADDRESS.fullmatch(named or "")
    if found is None:
        return
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=_KNOCK).close()
    except (OSError, OverflowError) as error:
        raise _nobody(named or "", str(error)) from error


def _nobody(address: str, reason: str) -> MachineError:
    return MachineError(
        f"no Ray answers at {address} ({reason})",
        allowed="local, auto, host:6379, or ray://host:10001",
        remedy="start one: ray start --head; if it asks for a token, set RAY_AUTH_MODE=token",
    )


def _begin(ray: Any, address: str, options: dict[str, Any]) -> None:
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if address != "local":
            raise _nobody(address, first) from error
        raise MachineError(f"Ray cannot be started here ({first})") from error


@contextmanager
def _quietly() -> Generator[None]:
    """Keep Ray's settings out of the environment, and its talk out of the terminal, afterwards."""
    before = {name: value for name, value in os.environ.items() if _is_rays(name)}
    log = logging.getLogger("ray")
    level = log.level
    os.environ.update({k: v for k, v in _DEFAULTS.items() if k not in before})
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        for name in [one for one in os.environ if _is_rays(one) and one not in before]:
            del os.environ[name]
        os.environ.update(before)


def _is_rays(name: str) -> bool:
    return name.startswith("RAY_") or name == "PYTHONBREAKPOINT"


@contextmanager
def _scratch() -> Generator[str | None]:
    """A directory for Ray's logs and sockets; none where sockets under it would have long names."""
    root = tempfile.gettempdir()
    if len(root) > _LONGEST:
        yield None  # Ray has a place of its own
        return
    folder = tempfile.mkdtemp(prefix="shiftlens-ray-", dir=root)
    try:
        yield str(Path(folder))
    finally:
        until = time.monotonic() + _LINGERING
        while Path(folder).exists() and time.monotonic() < until:
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.1)
