"""``Corridor``: which rooms of the framework visitors may enter, and what they may carry in.

The framework has many addresses beside those that its page uses, and believes a request that names
a file of this machine, or an address on the web, in place of an upload. Neither is wanted here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftlens.playground.doors import Application, Receive, Scope, Send, refuse

_READ = re.compile(
    r"/|/(assets|static|svelte)/.*|/(config|theme\.css|favicon\.ico|robots\.txt)"
    r"|/gradio_api/(theme\.css|startup-events|app_id|queue/data|upload_progress)"
    r"|/gradio_api/(heartbeat/|file=).*"
)
_SENT = re.compile(r"/gradio_api/(queue/join|upload|cancel|reset)/?")
_UPLOAD = "/gradio_api/upload"
_FILE = "/gradio_api/file="
_MOST_JSON = 256 * 1024  # bytes: a prompt, a few choices, names of uploads


@dataclass(frozen=True)
class Corridor:
    """Lets through what the pages need.

    Attributes:
        app: the framework.
        folder: where it keeps uploads: the only place whose files a request may name.
        most_kept: bytes of all uploads together; older ones are cleared away in time.
    """

    app: Application
    folder: Path
    most_kept: int = 1024**3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, sent = scope["path"], scope["method"] == "POST"
        if not (_SENT if sent else _READ).fullmatch(path):
            await refuse(send, 404, "There is nothing here.")
        elif not sent and path.startswith(_FILE) and not self._ours(path.removeprefix(_FILE)):
            await refuse(send, 403, "Only pictures that were uploaded here can be seen.")
        elif not sent:
            await self.app(scope, receive, send)
        elif path.rstrip("/") == _UPLOAD:
            await self._uploaded(scope, receive, send)
        else:
            await self._asked(scope, receive, send)

    async def _uploaded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _size(self.folder) > self.most_kept:
            await refuse(send, 503, "There is no room for more pictures now: try again in an hour.")
        else:
            await self.app(scope, receive, send)

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A question as JSON, whose files must be uploads."""
        body = await _body(receive)
        if body is None:
            await refuse(send, 413, "This request is too large.")
            return
        try:
            named = list(_paths(json.loads(body or b"null")))
        except (ValueError, RecursionError):
            await refuse(send, 400, "This request is no JSON.")
            return
        if not all(self._ours(one) for one in named):
            await refuse(send, 403, "Only pictures that were uploaded here can be asked about.")
            return
        await self.app(scope, _again(body, receive), send)

    def _ours(self, path: Any) -> bool:
        """Whether a file is an upload; no file at all is one as well."""
        if path is None:
            return True
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self.folder.resolve())


def _paths(value: Any) -> Iterator[Any]:
    """Everything that a request calls a path, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == "path":
                yield inner
            else:
                yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; ``None`` where it is too large, or the visitor has left."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(body) > _MOST_JSON:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for whoever comes next."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> dict[str, Any]:
        return left.pop() if left else await receive()

    return receiving


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
