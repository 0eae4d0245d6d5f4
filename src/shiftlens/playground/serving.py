"""``serve``: from a run's directory to a server on this machine."""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shiftlens as sl
from shiftlens.playground.corridor import Corridor
from shiftlens.playground.desk import Desk
from shiftlens.playground.doors import LOOPBACK, Doors
from shiftlens.playground.library import Library
from shiftlens.playground.limits import Limits
from shiftlens.playground.shown import Shown

_SLACK = 2 * 1024 * 1024  # of a request beside the picture in it


@dataclass(frozen=True)
class Address:
    """Where a playground is served, and to whom.

    Attributes:
        host: a name or number of this machine.
        port: of it.
        token: what visitors must have; ``None`` for none.

    Raises:
        ShiftLensError: others could reach it and no token is asked of them, or there is no such
            port.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    token: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise sl.ShiftLensError(f"the port {self.port}", allowed="1 to 65535")
        if self.token is not None and len(self.token) < 8:
            raise sl.ShiftLensError(
                f"a token of {len(self.token)} characters", allowed="at least 8"
            )
        if self.host not in LOOPBACK and self.token is None:
            raise sl.ShiftLensError(
                f"others could reach {self.host}, and no token is asked of them",
                allowed="127.0.0.1 without a token, other hosts with one",
                remedy="add --token with a secret of at least 8 characters",
            )

    @property
    def hosts(self) -> frozenset[str]:
        """Names that requests may use; any where the server listens on every address."""
        if self.host in ("0.0.0.0", "::"):
            return frozenset()
        return LOOPBACK | {self.host} if self.host in LOOPBACK else frozenset((self.host,))

    @property
    def url(self) -> str:
        """What to open, without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def prepare(
    run: str | Path,
    *,
    model: str | None = None,
    adapter: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    limits: Limits | None = None,
) -> Shown:
    """Read a run and load its model.

    Args:
        run: the run's directory.
        model: who is steered; by default the model that the run's states come from. A run with
            nothing in it needs none.
        adapter: of the model.
        device, dtype: as for ``load_model``.
        limits: of visitors.

    Raises:
        ShiftLensError: the directory is missing, or the model cannot be loaded.
    """
    library = Library.open(run)
    named = model or next(iter(library.models), "")
    if library.empty or not named:
        return Shown.of(library, None, named, adapter, limits)
    loaded = sl.load_model(named, adapter=adapter, device=device, dtype=dtype)
    return Shown.of(library, Desk(loaded), named, adapter, limits)


def application(shown: Shown, address: Address, folder: Path) -> Any:
    """The whole server as an ASGI application.

    Args:
        shown: what is shown.
        address: where, and to whom.
        folder: for uploads; nothing else may lie in it.

    Raises:
        ShiftLensError: the extra ``app`` is not installed.
    """
    # Before the framework is imported: it asks nobody, and tells nobody.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    try:
        import gradio as gr
        from fastapi import FastAPI
    except ModuleNotFoundError as error:
        raise sl.ShiftLensError(
            f"the playground needs {error.name}, which is not installed",
            remedy="pip install 'shiftlens[app]'",
        ) from error
    from shiftlens.playground.app import build, looks

    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        inner,
        build(shown),
        "/",
        server_name=address.host,
        server_port=address.port,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=shown.limits.upload_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        **looks(),
    )
    most = shown.limits.upload_bytes + _SLACK
    return Doors(Corridor(inner, folder), address.token, address.hosts, most)


def serve(shown: Shown, address: Address, *, ready: Callable[[str], object]) -> None:
    """Serve until interrupted; uploaded pictures are gone afterwards.

    Args:
        shown: what is shown.
        address: where.
        ready: told the address once it can be opened.

    Raises:
        ShiftLensError: the port is taken, or the extra ``app`` is not installed.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="shiftlens-serve-"))
        app = application(shown, address, Path(folder))
        import uvicorn

        sock = _listen(address)
        stack.callback(sock.close)
        settings = uvicorn.Config(
            app, log_level="critical", access_log=False, timeout_graceful_shutdown=3
        )
        ready(address.url)
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
            uvicorn.Server(settings).run(sockets=[sock])


def _listen(address: Address) -> Any:
    """The socket, taken before anybody is told about it."""
    import socket

    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        raise sl.ShiftLensError(
            f"nothing can be served at {address.host}, port {address.port} ({error.strerror})",
            remedy="choose another port: --port",
        ) from error
    sock.listen()
    return sock
