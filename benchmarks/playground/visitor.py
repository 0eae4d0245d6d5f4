"""A visitor without a browser: sends what the page sends, and reads the answer as it comes."""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_PATIENCE = 120  # seconds
_FIRST_WORD = 2  # what is shown first is that the answer has begun; then its first word


@dataclass(frozen=True)
class Visit:
    """One answer.

    Attributes:
        first: seconds until the first word was there.
        whole: seconds until both answers and the receipt were.
        error: what went wrong; empty where nothing did.
    """

    first: float
    whole: float
    error: str = ""


class Visitor:
    """Asks the same question again and again, at a strength of its own.

    Args:
        url: of the playground.
        strength: that its receipts must show.
    """

    def __init__(self, url: str, strength: float) -> None:
        self._url, self._strength = url, strength
        self._session = uuid.uuid4().hex[:12]
        config = json.load(urllib.request.urlopen(f"{url}/config", timeout=_PATIENCE))
        self._ask = next(one for one in config["dependencies"] if one["api_name"] == "answer")
        parts = {one["id"]: one for one in config["components"]}
        names = [parts[number]["props"] for number in self._ask["inputs"]]
        self._data = [one.get("value") for one in names]
        labels = [one.get("label") for one in names]
        self._data[labels.index("Strength")] = strength

    def visit(self) -> Visit:
        """Ask once; what goes wrong is a result."""
        begin = time.perf_counter()
        try:
            first, text = self._answer(begin)
        except (OSError, ValueError, RuntimeError) as error:
            return Visit(0, time.perf_counter() - begin, f"{type(error).__name__}: {error}")
        wanted = f"strength {self._strength:g},"
        error = "" if wanted in text else "the receipt is somebody else's, or there is none"
        return Visit(first, time.perf_counter() - begin, error)

    def _answer(self, begin: float) -> tuple[float, str]:
        """Seconds until the first word, and everything that came."""
        self._send({"data": self._data, "fn_index": self._ask["id"], "trigger_id": None,
                    "session_hash": self._session})  # fmt: skip
        pieces: list[str] = []
        shown: list[float] = []
        for told in self._told():
            pieces.append(json.dumps(told.get("output", {})))
            if told["msg"] == "process_generating":
                shown.append(time.perf_counter() - begin)
            elif told["msg"] == "process_completed":
                if not told["success"] or len(shown) < _FIRST_WORD:
                    raise RuntimeError(f"no answer: {told['output']}")
                return shown[_FIRST_WORD - 1], "".join(pieces)
            elif told["msg"] in ("queue_full", "unexpected_error"):
                raise RuntimeError(str(told.get("message", told["msg"])))
        raise RuntimeError("the answer ended early")

    def _send(self, body: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{self._url}/gradio_api/queue/join",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=_PATIENCE).close()

    def _told(self) -> Iterator[dict[str, Any]]:
        """Messages of the server, as they come."""
        address = f"{self._url}/gradio_api/queue/data?session_hash={self._session}"
        with urllib.request.urlopen(address, timeout=_PATIENCE) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
