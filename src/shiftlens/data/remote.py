"""Pictures from the web: HTTP only, within limits of size and time."""

import time
from http.client import HTTPException
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from shiftlens.core.errors import DataError

SCHEMES = ("http", "https")
MAX_BYTES = 64 * 2**20
"""How many bytes a picture from the web may have."""
SECONDS = 30.0
"""How long fetching one may take; a server that says nothing for a third of that has failed."""
_CHUNK = 2**16


def fetch(url: str, *, max_bytes: int = MAX_BYTES, seconds: float = SECONDS) -> bytes:
    """What a server holds under an address; asked once, without cookies or passwords.

    Args:
        url: begins with ``http://`` or ``https://``, and so do all that it is redirected to.
        max_bytes: more are refused, at the latest when that many have come.
        seconds: the time for all of it.

    Raises:
        DataError: no answer, another answer than 200, too many bytes, or not in time.
    """
    answers: SimpleQueue[bytes | Exception] = SimpleQueue()

    def work() -> None:
        try:
            answers.put(_fetched(url, max_bytes, seconds))
        except Exception as error:
            answers.put(error)

    # Looking up a name has no limit of its own, and headers may come letter by letter.
    Thread(target=work, daemon=True, name="fetch").start()
    try:
        found = answers.get(timeout=seconds)
    except Empty:
        raise _too_late(url, seconds) from None
    if isinstance(found, Exception):
        raise found
    return found


def _fetched(url: str, max_bytes: int, seconds: float) -> bytes:
    end = time.monotonic() + seconds
    try:
        if urlsplit(url).scheme.lower() not in SCHEMES:
            raise DataError(f"image {url} is not on the web", allowed="http:// and https://")
        asked = request.Request(url, headers={"User-Agent": "shiftlens"})
        with _opener().open(asked, timeout=seconds / 3) as answer:
            declared = answer.headers.get("Content-Length", "")
            if declared.isdigit() and int(declared) > max_bytes:
                raise _too_large(url, max_bytes)
            return _read(url, answer, max_bytes, end)
    except DataError:
        raise
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        if isinstance(error, TimeoutError) or isinstance(_reason(error), TimeoutError):
            raise _too_late(url, seconds) from error
        raise DataError(f"image {url} cannot be fetched ({error})") from error


def _reason(error: Exception) -> object:
    return getattr(error, "reason", None)  # of the URLError that a failed connection is wrapped in


def _read(url: str, answer: Any, max_bytes: int, end: float) -> bytes:
    found = bytearray()
    while chunk := answer.read1(_CHUNK):
        found += chunk
        if len(found) > max_bytes:
            raise _too_large(url, max_bytes)
        if time.monotonic() > end:  # a server may drip for ever without a pause
            raise TimeoutError
    declared = answer.headers.get("Content-Length", "")
    if declared.isdigit() and len(found) != int(declared):
        raise DataError(f"image {url} broke off after {len(found)} of {declared} bytes")
    return bytes(found)


def _too_large(url: str, max_bytes: int) -> DataError:
    return DataError(
        f"image {url} has more than {max_bytes / 2**20:g} MiB",
        remedy="save a smaller copy, and give its path",
    )


def _too_late(url: str, seconds: float) -> DataError:
    return DataError(
        f"image {url} did not come within {seconds:g} seconds",
        remedy="save it, and give the path of the file",
    )


class _Redirects(request.HTTPRedirectHandler):
    """Follows what stays on the web; Python's own would follow to ``ftp://`` as well."""

    def redirect_request(
        self, req: request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        """The next request, unless it would leave the web."""
        fp.close()  # what comes with a redirect would be read to its end, however long it is
        if urlsplit(newurl).scheme.lower() not in SCHEMES:
            raise DataError(
                f"image {req.full_url} is redirected to {newurl}",
                allowed="redirects to http:// and https://",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Nothing but HTTP: ``build_opener`` would read ``file://`` too."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
