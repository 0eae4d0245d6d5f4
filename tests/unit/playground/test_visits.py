"""The whole server: who leaves, what fails, and what strangers may ask for."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.playground import odd_server
from tests.unit.playground.builders import build_run
from tests.unit.playground.server import free_port, started

from shiftlens.models.model import Model

_PATIENCE = 60


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, _tiny: Model, tiny_path: Path
) -> Iterator[tuple[str, Path]]:
    """The address, and where the model says what it does."""
    root = tmp_path_factory.mktemp("visits")
    run, port = build_run(root / "run", _tiny), free_port()
    command = [sys.executable, "-m", odd_server.__name__, str(run), str(tiny_path), str(port)]
    with started([*command, str(root)], port, sound=False) as (url, said):
        yield url.rstrip("/"), root
    assert "device-side assert" in said[0], "whoever serves can see what happened"


def _until(path: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return path.exists()


def _post(url: str, body: bytes, kind: str) -> bytes:
    asked = urllib.request.Request(url, body, {"content-type": kind})
    with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:
        return bytes(answer.read())


def _ask(url: str, who: str, **said: Any) -> Any:
    """Ask as the page does; the stream of what comes."""
    with urllib.request.urlopen(f"{url}/config", timeout=_PATIENCE) as told:
        config = json.load(told)
    ask = next(one for one in config["dependencies"] if one["api_name"] == "answer")
    parts = {one["id"]: one["props"] for one in config["components"]}
    data = [
        said.get(str(parts[one].get("elem_id")), parts[one].get("value")) for one in ask["inputs"]
    ]
    body = json.dumps({"data": data, "fn_index": ask["id"], "session_hash": who}).encode()
    _post(f"{url}/gradio_api/queue/join", body, "application/json")
    return urllib.request.urlopen(
        f"{url}/gradio_api/queue/data?session_hash={who}", timeout=_PATIENCE
    )


def _all(stream: Any) -> str:
    with stream:
        return "".join(line.decode() for line in stream)


def test_who_closes_the_page_in_mid_answer_is_not_answered_to_the_end(
    served: tuple[str, Path],
) -> None:
    url, folder = served
    with _ask(url, "leaver", prompt=odd_server.ENDLESS) as stream:
        assert _until(folder / "began", _PATIENCE)
        while "word" not in stream.readline().decode():
            pass
        assert not (folder / "ended").exists()
    assert _until(folder / "ended", 30), "the model goes on for somebody who is gone"
    assert "Receipt" in _all(_ask(url, "next", prompt="what is this ?"))


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (odd_server.FAULT, "The model failed on this question (RuntimeError)"),
        (odd_server.FULL, "There was not enough memory for this answer"),
    ],
)
def test_a_model_that_fails_is_one_sentence_and_others_are_served(
    served: tuple[str, Path], prompt: str, said: str
) -> None:
    url, _ = served
    told = _all(_ask(url, f"unlucky-{prompt[:4]}", prompt=prompt))
    assert said in told
    assert "secret" not in told
    assert "Receipt" in _all(_ask(url, f"lucky-{prompt[:4]}"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"prompt": "a" * 10_000}, "The prompt has 10,000 characters"),
        ({"prompt": "\u202e\U0001f600 <img src=x onerror=alert(1)> \u0645\u0631\u062d"}, "Receipt"),
        ({"tokens": 10_000}, "10000"),
        ({"listed": 3}, "has forgotten the list of this page"),
        ({"example": 99, "picture": None}, "Receipt"),
        ({"direction": "vector:../../etc/passwd"}, ""),
        ({"layer_of": "something else"}, "Receipt"),
    ],
)
def test_whatever_is_sent_gets_an_answer_or_a_sentence(
    served: tuple[str, Path], said: dict[str, Any], told: str
) -> None:
    url, _ = served
    page = _all(_ask(url, f"odd-{next(iter(said))}-{len(str(said))}", **said))
    assert told in page
    assert "Traceback" not in page
    assert "<img src=x onerror" not in page


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:9/x.png",
        "https://example.com/x.png",
        "/etc/passwd",
        "pyproject.toml",
        "/..%2f..%2fetc/passwd",
        "x" * 5000,
    ],
)
def test_the_server_fetches_and_shows_uploads_alone(served: tuple[str, Path], place: str) -> None:
    url, _ = served
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}/gradio_api/file={place}", timeout=_PATIENCE)
    refused.value.close()
    assert refused.value.code in (403, 404)


def test_names_of_uploads_stay_in_their_folder(served: tuple[str, Path]) -> None:
    url, _ = served
    name = "../../../../climbed.png"
    body = (
        b'--x\r\ncontent-disposition: form-data; name="files"; filename="' + name.encode() + b'"'
        b"\r\ncontent-type: image/png\r\n\r\nnothing\r\n--x--\r\n"
    )
    kind = "multipart/form-data; boundary=x"
    (path,) = json.loads(_post(f"{url}/gradio_api/upload", body, kind))
    assert Path(path).is_file()
    assert any(one.startswith("shiftlens-serve-") for one in Path(path).resolve().parts)
