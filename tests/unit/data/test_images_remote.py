"""Pictures on the web: off unless asked for, HTTP alone, within limits of size and time."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.unit.data.web import Server, body, png, redirect, serving

from shiftlens.core.errors import DataError
from shiftlens.data.images import Opening, open_image
from shiftlens.data.remote import fetch

REMOTE = Opening(remote=True)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as found:
        yield found


def test_remote_images_are_off_unless_asked_for(server: Server) -> None:
    server.answers["/a.png"] = body(png())
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
    secret.write_bytes(png("blue"))
    server.answers["/here.png"] = body(png())
    server.answers["/moved.png"] = redirect("/here.png")
    server.answers["/file.png"] = redirect(f"file://{secret}")
    server.answers["/ftp.png"] = redirect("ftp://127.0.0.1/a.png")
    server.answers["/round.png"] = redirect("/round.png")
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

    server.answers["/here.png"] = body(png())
    server.answers["/endless.png"] = endless
    assert open_image(server.url("/endless.png"), REMOTE).size == (6, 4)


def test_the_limit_of_bytes_holds_whatever_is_declared(server: Server) -> None:
    server.answers["/declared"] = body(b"", length=2**40)
    server.answers["/undeclared"] = body(bytes(5000), length=-1)
    server.answers["/fits"] = body(bytes(4096), length=-1)
    for path in ("/declared", "/undeclared"):
        with pytest.raises(DataError, match=r"has more than 0\.00390625 MiB"):
            fetch(server.url(path), max_bytes=4096)
    assert len(fetch(server.url("/fits"), max_bytes=4096)) == 4096


def test_the_limit_of_time_holds_for_silence_and_for_drops(server: Server) -> None:
    ended = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        ended.wait(20)

    # Drops and letters that come often enough never time out by themselves.
    def dripping(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.05):
            handler.wfile.write(b"x")

    def spelling(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
        while not ended.wait(0.05):
            handler.wfile.write(b"x")

    server.answers.update({"/silent": silent, "/dripping": dripping, "/spelling": spelling})
    for path in ("/silent", "/dripping", "/spelling"):
        start = time.monotonic()
        with pytest.raises(DataError, match=r"did not come within 0\.6 seconds"):
            fetch(server.url(path), seconds=0.6)
        assert time.monotonic() - start < 15, "ended by the limit, not by the server"
    ended.set()


def test_what_goes_wrong_on_the_way_is_named(server: Server) -> None:
    server.answers["/cut.png"] = body(png()[:20], length=len(png()))
    server.answers["/page.png"] = body(b"<html>sign in</html>")
    server.answers["/empty.png"] = body(b"")
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
    server.answers["/a.png"] = body(png(size=(20, 10)))
    with pytest.raises(DataError, match="20 x 10 = 200 pixels"):
        open_image(server.url("/a.png"), Opening(remote=True, max_pixels=100))
