"""``Doors``: who may come in, with how much, and what a browser may do with what it gets.

A plain ASGI middleware around the whole app, in front of the framework's own routes.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_COOKIE = "shiftlens-token"
_LONGEST_FORM = 4096
LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
# Scripts and styles of the framework stand in its page; everything else comes from here or nowhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    # Not "no-referrer": a browser then sends the form for the token as if it came from nowhere.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>shiftlens playground</title>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{display:grid;place-content:center;min-height:90vh;margin:0;padding:1rem}
form{display:grid;gap:.7rem;max-width:22rem}h1{font-size:1.4rem;margin:0}
p{margin:0;opacity:.8}input,button{font:inherit;padding:.6rem .8rem;border-radius:8px}
input{border:1px solid #888}button{border:0;background:#005b96;color:#fff;cursor:pointer}
.bad{color:#b3261e;opacity:1}@media(prefers-color-scheme:dark){.bad{color:#ff9d95}}</style>
<form method="post" action="/"><h1>shiftlens playground</h1>
<p>This playground is protected: whoever started it knows its token.</p>MESSAGE
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<button>Open</button></form></html>"""


@dataclass(frozen=True)
class Doors:
    """Lets requests through to the app, or answers them itself.

    Attributes:
        app: what is behind.
        token: what visitors must have; ``None`` for none.
        hosts: names under which this server may be asked; empty for any.
        most_bytes: of the body of a request.
    """

    app: Application
    token: str | None
    hosts: frozenset[str]
    most_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            # The app has no web sockets; what starts and stops it is not a visitor.
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        problem = self._stranger(headers) or self._too_large(headers)
        if problem:
            await refuse(send, *problem)
        elif self.token is not None and not self._knows(headers):
            await self._ask(scope, receive, send)
        else:
            await self.app(scope, self._counted(receive), _sealed(send, _policy(scope["path"])))

    def _stranger(self, headers: Mapping[str, bytes]) -> tuple[int, str] | None:
        """Refuse other names for this machine, and pages of other sites that call it."""
        host = headers.get("host", b"").decode("latin-1")
        if self.hosts and _name(host) not in self.hosts:
            return 421, "This server is not known under that name."
        origin = headers.get("origin", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc != host:
            return 403, "Pages of other sites may not use this playground."
        return None

    def _too_large(self, headers: Mapping[str, bytes]) -> tuple[int, str] | None:
        length = headers.get("content-length", b"0")
        if not length.isdigit() or int(length) > self.most_bytes:
            return 413, f"At most {self.most_bytes / 1024**2:.0f} MB can be sent at once."
        return None

    def _counted(self, receive: Receive) -> Receive:
        """Bodies without a length are counted as they come, and cut off."""
        seen = 0

        async def counting() -> dict[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self.most_bytes else message

        return counting

    def _knows(self, headers: Mapping[str, bytes]) -> bool:
        try:
            cookies = SimpleCookie(headers.get("cookie", b"").decode("latin-1"))
        except CookieError:
            return False
        given = cookies.get(self._cookie)
        return given is not None and hmac.compare_digest(given.value.encode(), self._mark.encode())

    @property
    def _mark(self) -> str:
        """What the cookie holds: not the token itself, which may have letters that cookies lack."""
        return hashlib.sha256((self.token or "").encode()).hexdigest()

    @property
    def _cookie(self) -> str:
        """Its name: cookies are shared by all ports of a machine, and tokens are not."""
        return f"{_COOKIE}-{self._mark[:8]}"

    def _right(self, given: str) -> bool:
        """Whether this is the token, in a time that tells nothing about it."""
        return hmac.compare_digest(given.encode(), (self.token or "").encode())

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the token from the form or the address, once, and keep it in a cookie; or ask."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.pop("token", [""])[-1]
        if scope.get("method") == "POST":
            # From the form it stands in no address, and so in no history and no log of a proxy.
            given = parse_qs(await _read(receive)).get("token", [""])[-1]
        if self._right(given):
            rest = urlencode(query, doseq=True)
            # Not through ``//``: that would be another site.
            place = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
            cookie = f"{self._cookie}={self._mark}; Path=/; HttpOnly; SameSite=Strict"
            moved = [(b"location", place.encode("latin-1")), (b"set-cookie", cookie.encode())]
            await refuse(send, 303, "", headers=moved)
            return
        wrong = '<p class="bad" role="alert">That is not the token.</p>' if given else ""
        await refuse(send, 401, _LOGIN.replace("MESSAGE", wrong), kind=b"text/html; charset=utf-8")


async def _read(receive: Receive) -> str:
    """The body of a form; empty where it is longer than any token."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or len(body) > _LONGEST_FORM:
            return ""
        if not message.get("more_body"):
            return body.decode("latin-1")


def _name(host: str) -> str:
    """The name of a host without its port."""
    return urlsplit(f"//{host}").hostname or ""


def _policy(path: str) -> str:
    """Uploads are files of strangers: a browser that opens one alone runs nothing in it."""
    return "default-src 'none'; sandbox" if path.startswith("/gradio_api/file") else _POLICY


def _sealed(send: Send, policy: str = _POLICY) -> Send:
    """Every answer tells the browser what may be done with it."""
    sealed = ((b"content-security-policy", policy.encode()), *_HEADERS)

    async def sealing(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in sealed}
            kept = [one for one in message.get("headers", ()) if one[0].lower() not in ours]
            message = {**message, "headers": [*kept, *sealed]}
        await send(message)

    return sealing


async def refuse(
    send: Send,
    status: int,
    body: str,
    *,
    kind: bytes = b"text/plain; charset=utf-8",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    """Answer a request here, with a sentence."""
    content = body.encode()
    sealing = _sealed(send)
    fixed = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
    start = {"type": "http.response.start", "status": status, "headers": [*fixed, *(headers or [])]}
    await sealing(start)
    await sealing({"type": "http.response.body", "body": content})
