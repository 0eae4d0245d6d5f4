"""Who is let in: by token, by the name they call, by where their page comes from, by size."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from shiftlens.playground.doors import LOOPBACK, Doors

_TOKEN = "long enough; with, odd letters"


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Reads everything, and answers with what it read."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ConnectionError("cut off")
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside " + body})


def _ask(
    doors: Doors,
    path: str = "/",
    query: str = "",
    bodies: tuple[bytes, ...] = (b"",),
    method: str = "GET",
    **headers: str,
) -> tuple[int, Mapping[str, str], bytes]:
    sent: list[Any] = []
    left = list(bodies)

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    named = {"host": "127.0.0.1:7860", **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        **{"type": "http", "path": path, "query_string": query.encode(), "method": method},
        "headers": [(k.encode(), v.encode()) for k, v in named.items()],
    }
    asyncio.run(doors(scope, receive, send))
    told = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:])


def _doors(token: str | None = None, most: int = 100) -> Doors:
    return Doors(_app, token, LOOPBACK, most)


def test_without_a_token_everybody_on_this_machine_is_let_in() -> None:
    status, headers, body = _ask(_doors())
    assert (status, body) == (200, b"inside ")
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    # With "no-referrer" a browser sends the form for the token with the origin "null": refused.
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/upload", "/assets/x.js"])
def test_with_a_token_nothing_is_reached_without_it(path: str) -> None:
    for query, cookie in (("", ""), ("token=wrong", ""), ("", "shiftlens-token=wrong")):
        status, _, body = _ask(_doors(_TOKEN), path, query, cookie=cookie)
        assert status == 401
        assert b"inside" not in body


def test_the_token_is_asked_once_and_leaves_the_address() -> None:
    from urllib.parse import quote

    doors = _doors(_TOKEN)
    status, headers, _ = _ask(doors, "/", f"token={quote(_TOKEN)}&view=1")
    assert (status, headers["location"]) == (303, "/?view=1")
    cookie = headers["set-cookie"]
    assert _TOKEN not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert _ask(doors, cookie=cookie.split(";")[0])[0] == 200
    assert _ask(_doors("another token"), cookie=cookie.split(";")[0])[0] == 401


def test_the_form_sends_the_token_in_no_address() -> None:
    from urllib.parse import urlencode

    doors = _doors(_TOKEN, most=10_000)
    body = urlencode({"token": _TOKEN}).encode()
    status, headers, _ = _ask(doors, bodies=(body[:5], body[5:]), method="POST")
    assert (status, headers["location"]) == (303, "/")
    assert _ask(doors, cookie=headers["set-cookie"].split(";")[0])[0] == 200
    for wrong in (b"token=wrong", b"", b"token=" + b"a" * 5000, b"\xff\xfe", b"token=%ff"):
        status, headers, page = _ask(doors, bodies=(wrong,), method="POST")
        assert status == 401
        assert "set-cookie" not in headers
    assert b'method="post"' in page
    assert _ask(doors, bodies=(body,), method="POST", origin="http://evil.example")[0] == 403


def test_two_playgrounds_of_one_machine_do_not_lock_each_other_out() -> None:
    """Cookies know no ports."""
    cookies: list[str] = []
    for token in (_TOKEN, "another token"):
        _, headers, _ = _ask(_doors(token), "/", f"token={token.replace(';', '%3B')}")
        cookies.append(headers["set-cookie"].split(";")[0])
    for token in (_TOKEN, "another token"):
        assert _ask(_doors(token), cookie="; ".join(cookies))[0] == 200


def test_the_way_back_leads_to_no_other_site() -> None:
    from urllib.parse import quote

    for path in ("//evil.example/x", "/\\evil.example", "/a\r\nset-cookie: x"):
        _, headers, _ = _ask(_doors(_TOKEN), path, f"token={quote(_TOKEN)}")
        assert headers["location"].startswith("/")
        assert not headers["location"].startswith(("//", "/\\"))
        assert "\n" not in headers["location"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[::2]:7860"])
def test_other_names_for_this_machine_are_refused(host: str) -> None:
    assert _ask(_doors(), host=host)[0] == 421


def test_pages_of_other_sites_are_refused() -> None:
    assert _ask(_doors(), origin="http://127.0.0.1:7860")[0] == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:7861"):
        assert _ask(_doors(), origin=origin)[0] == 403


def test_bodies_have_a_size_whatever_they_say_of_it() -> None:
    assert _ask(_doors(), bodies=(b"a" * 100,), content_length="100")[0] == 200
    assert _ask(_doors(), content_length="101")[0] == 413
    assert _ask(_doors(), content_length="-5")[0] == 413
    with pytest.raises(ConnectionError):
        _ask(_doors(), bodies=(b"a" * 60, b"b" * 60))


def test_web_sockets_are_not_served() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("nobody is asked")

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(Doors(never, None, LOOPBACK, 10)(scope, never, never))
