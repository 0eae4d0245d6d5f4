"""Pictures on the web: off unless asked for, HTTP alone, within limits of size and time."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from shiftlens.core.errors import DataError
from shiftlens.data.images import Opening, open_image
from shiftlens.data.remote import fetch

REMOTE = Opening(remote=True)


class Server(ThreadingHTTPServer):
    """Answers each path as its function does, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path)
        if answer is None:
            self.send_error(404)
            return
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # who asked has heard enough

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is written into the output of the tests."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def _body(data: bytes, *, length: int | None = None, code: int = 200, **headers: str):
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        if length != -1:
            handler.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def _to(place: str):
    return _body(b"", code=302, Location=place)


def _png(colour: str = "red", size: tuple[int, int] = (6, 4)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def test_remote_images_are_off_unless_asked_for(server: Server) -> None:
    server.answers["/a.png"] = _body(_png())
    with pytest.raises(DataError, match="is on the web, and remote images are off") as caught:
        open_image(server.url("/a.png"))
    assert "remote=True" in caught.value.remedy
    assert server.asked == [], "nobody was asked"
    assert open_image(server.url("/a.png"), REMOTE).getpixel((3, 2)) == (255, 0, 0)
    assert server.asked == ["/a.png"]


@pytest.mark.parametrize(
    "ref", ["https://example.org/a.png", "HTTP://example.org/a.png", "http://"]
)
def test_off_means_off_for_every_spelling(ref: str) -> None:
    with pytest.raises(DataError, match="remote images are off"):
        open_image(ref)


@pytest.mark.parametrize("ref", ["file:///etc/passwd", "ftp://h/a.png", "s3://b/a.png", "gs://b/a"])
@pytest.mark.parametrize("opening", [Opening(), REMOTE])
def test_other_schemes_are_never_followed(ref: str, opening: Opening) -> None:
    with pytest.raises(DataError, match="neither a file of this machine nor on the web"):
        open_image(ref, opening)


def test_redirects_stay_on_the_web(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(_png("blue"))
    server.answers["/here.png"] = _body(_png())
    server.answers["/moved.png"] = _to("/here.png")
    server.answers["/file.png"] = _to(f"file://{secret}")
    server.answers["/ftp.png"] = _to("ftp://127.0.0.1/a.png")
    server.answers["/round.png"] = _to("/round.png")
    assert open_image(server.url("/moved.png"), REMOTE).size == (6, 4)
    with pytest.raises(DataError, match=r"Redirection to url 'file:.* is not allowed"):
        open_image(server.url("/file.png"), REMOTE)
    with pytest.raises(DataError, match="is redirected to ftp:") as caught:  # Python would follow
        open_image(server.url("/ftp.png"), REMOTE)
    assert caught.value.allowed == "redirects to http:// and https://"
    with pytest.raises(DataError, match="cannot be fetched"):
        open_image(server.url("/round.png"), REMOTE)


def test_what_comes_with_a_redirect_is_not_read(server: Server) -> None:
    """Python's own handler reads it to the end, however long that is."""

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/here.png")
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(2**16))

    server.answers["/here.png"] = _body(_png())
    server.answers["/endless.png"] = endless
    assert open_image(server.url("/endless.png"), REMOTE).size == (6, 4)


def test_the_limit_of_bytes_holds_whatever_is_declared(server: Server) -> None:
    server.answers["/declared"] = _body(b"", length=2**40)
    server.answers["/undeclared"] = _body(bytes(5000), length=-1)
    server.answers["/fits"] = _body(bytes(4096), length=-1)
    for path in ("/declared", "/undeclared"):
        with pytest.raises(DataError, match=r"has more than 0\.00390625 MiB"):
            fetch(server.url(path), max_bytes=4096)
    assert len(fetch(server.url("/fits"), max_bytes=4096)) == 4096


def test_the_limit_of_time_holds_for_silence_and_for_drops(server: Server) -> None:
    ended = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        ended.wait(20)

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.05):
            handler.wfile.write(b"x")

    server.answers.update({"/silent": silent, "/dripping": dripping})
    for path in ("/silent", "/dripping"):
        start = time.monotonic()
        with pytest.raises(DataError, match=r"did not come within 0\.6 seconds"):
            fetch(server.url(path), seconds=0.6)
        assert time.monotonic() - start < 15, "ended by the limit, not by the server"
    ended.set()


def test_what_goes_wrong_on_the_way_is_named(server: Server) -> None:
    server.answers["/cut.png"] = _body(_png()[:20], length=len(_png()))
    server.answers["/page.png"] = _body(b"<html>sign in</html>")
    server.answers["/empty.png"] = _body(b"")
    for path, words in {
        "/gone.png": "cannot be fetched .*404",
        "/cut.png": "cannot be fetched|broke off after 20 of",
        "/page.png": "is not a picture",
        "/empty.png": "is not a picture",
    }.items():
        with pytest.raises(DataError, match=words):
            open_image(server.url(path), REMOTE)
    with pytest.raises(DataError, match="cannot be fetched"):
        open_image("http://127.0.0.1:1/a.png", REMOTE)
    with pytest.raises(DataError, match="is a video"):
        open_image(server.url("/clip.mp4"), REMOTE)


def test_pixels_are_limited_on_the_web_too(server: Server) -> None:
    server.answers["/a.png"] = _body(_png(size=(20, 10)))
    with pytest.raises(DataError, match="20 x 10 = 200 pixels"):
        open_image(server.url("/a.png"), Opening(remote=True, max_pixels=100))
