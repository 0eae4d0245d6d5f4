"""Which addresses of the framework are open, and which files a request may name."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shiftlens.playground.corridor import Corridor

_JOIN = "/gradio_api/queue/join"


def _ask(folder: Path, path: str, body: Any = None, *, most: int = 1000) -> int:
    """The status; 200 where the request was let through, with its body as it was."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent: list[Any] = []
    pieces = [content[:7], content[7:]]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen = b""
        while True:
            message = await receive()
            seen += message["body"]
            if not message["more_body"]:
                break
        assert seen == content
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "path": path, "method": "GET" if body is None else "POST"}
    asyncio.run(Corridor(app, folder, most)(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    "path",
    ["/", "/assets/a.js", "/theme.css", "/gradio_api/heartbeat/s"],
)
def test_what_the_page_reads_is_open(tmp_path: Path, path: str) -> None:
    assert _ask(tmp_path, path) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/proxy=http://example.com/",
        "/gradio_api/openapi.json",
        "/gradio_api/deep_link",
        "/gradio_api/custom_component/1/client/x/y",
        "/monitoring",
        "/login",
        "/docs",
        "/gradio_api/file/x",
    ],
)
def test_the_rest_is_not_there(tmp_path: Path, path: str) -> None:
    assert _ask(tmp_path, path) == 404


@pytest.mark.parametrize(
    "path", ["/gradio_api/run/answer", "/gradio_api/call/answer", "/gradio_api/vibe-edit", "/"]
)
def test_nothing_is_sent_elsewhere(tmp_path: Path, path: str) -> None:
    assert _ask(tmp_path, path, {"data": []}) == 404


def test_uploads_may_be_named_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")

    def asked(path: Any) -> int:
        return _ask(folder, _JOIN, {"data": [{"path": path, "meta": {}}, "path"]})

    assert asked(str(folder / "abc" / "mine.png")) == 200
    assert asked(None) == 200
    for path in (
        "/etc/passwd",
        str(tmp_path / "secret.png"),
        str(folder / ".." / "secret.png"),
        str(folder / "link.png"),
        "http://example.com/x.png",
        f"{folder}\0",
        {"path": "/etc/passwd"},
        5,
    ):
        assert asked(path) == 403, path


def test_uploads_are_seen_and_nothing_else(tmp_path: Path) -> None:
    """The framework would also fetch an address on the web, for whoever names it."""
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert _ask(folder, f"/gradio_api/file={folder}/abc/mine.png") == 200
    for path in (
        "http://example.com/x.png",
        "https://example.com/x.png",
        "/etc/passwd",
        f"{folder}/../secret.png",
        f"{folder}/link.png",
        "pyproject.toml",
        "a" * 5000,
        "",
    ):
        assert _ask(folder, f"/gradio_api/file={path}") == 403, path


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    hidden = {"data": [[{"a": {"b": [{"path": "/etc/passwd"}]}}]]}
    assert _ask(tmp_path, _JOIN, hidden) == 403


def test_what_is_no_json_or_too_much_is_refused(tmp_path: Path) -> None:
    assert _ask(tmp_path, _JOIN, b"{") == 400
    assert _ask(tmp_path, _JOIN, b"[" * 100_000) == 400
    assert _ask(tmp_path, _JOIN, {"data": "x" * 300_000}) == 413


def test_uploads_stop_where_the_disk_would_fill(tmp_path: Path) -> None:
    assert _ask(tmp_path, "/gradio_api/upload", b"----") == 200
    (tmp_path / "picture.png").write_bytes(b"x" * 1001)
    assert _ask(tmp_path, "/gradio_api/upload", b"----") == 503
