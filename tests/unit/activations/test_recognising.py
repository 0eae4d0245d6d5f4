"""A finished harvest is told from files' names, sizes and times, and from nothing less."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.recognising import finished, note_request, request_key
from shiftlens.activations.site import Site
from shiftlens.data.reading import read
from shiftlens.models.loading import load_model
from shiftlens.world.source import materialise

OPTIONS = {"response": "own", "max_new_tokens": 2}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return materialise("people", tmp_path / "data", n=3, seed=3).parent


def _key(model: Path, data: Path, **options: object) -> str | None:
    return request_key((str(model), None), read(data), {**OPTIONS, **options})


@pytest.fixture
def store(tiny_path: Path, data: Path, tmp_path: Path) -> Path:
    """A finished store, and word of what it was made for."""
    out = tmp_path / "out"
    harvest(load_model(tiny_path), read(data), Site(-1), out, max_new_tokens=2, part_size=2)
    note_request(out, _key(tiny_path, data), [read_manifest(out)])
    return out


def test_the_same_request_is_recognised(tiny_path: Path, data: Path, store: Path) -> None:
    found = finished(store, _key(tiny_path, data))
    assert found is not None
    assert [one.root for one in found] == [store]


def _replace_picture(_store: Path, data: Path) -> None:
    picture = next(iter(read(data))).images[0]
    Path(picture).write_bytes(Path(picture).read_bytes() + b"\0")


def _touch_picture(_store: Path, data: Path) -> None:
    os.utime(next(iter(read(data))).images[0], ns=(1, 1))


def _another_question(_store: Path, data: Path) -> None:
    file = data / "data.jsonl"
    file.write_text(file.read_text().replace('"prompt": "', '"prompt": "and '))


def _lose_shard(store: Path, _data: Path) -> None:
    (store / "shard-00001.safetensors").unlink()


def _cut_manifest(store: Path, _data: Path) -> None:
    (store / "manifest.json").write_text("{")


def _cut_request(store: Path, _data: Path) -> None:
    (store / ".request.json").write_text("[]")


@pytest.mark.parametrize(
    "change",
    [
        *(_replace_picture, _touch_picture, _another_question),
        *(_lose_shard, _cut_manifest, _cut_request),
    ],
)
def test_twin_what_has_changed_is_not_recognised(
    tiny_path: Path, data: Path, store: Path, change: Callable[[Path, Path], None]
) -> None:
    change(store, data)
    assert finished(store, _key(tiny_path, data)) is None


def test_another_option_or_model_is_another_request(
    tiny_path: Path, data: Path, store: Path, base_path: Path
) -> None:
    assert finished(store, _key(tiny_path, data, max_new_tokens=3)) is None
    assert finished(store, _key(base_path, data)) is None


def test_a_model_that_is_not_here_has_no_request(data: Path, tmp_path: Path) -> None:
    assert _key(Path("nobody/nothing"), data) is None
    assert finished(tmp_path, None) is None


def test_an_unfinished_store_leaves_no_word(tiny_path: Path, data: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", load_model(tiny_path)
    harvest(model, read(data), Site(-1), out, max_new_tokens=2, part_size=1, part=(1, 2))
    note_request(out, _key(tiny_path, data), [read_manifest(out)])
    assert not (out / ".request.json").exists()


_RUN = """
import sys
from shiftlens.cli.main import run_app
code = run_app(sys.argv[1:])
sys.exit(code + 100 * ("torch" in sys.modules))
"""


@pytest.mark.slow
def test_the_command_recognises_it_without_torch(
    tiny_path: Path, data: Path, tmp_path: Path
) -> None:
    words = [str(tiny_path), str(data), "-o", str(tmp_path / "s"), "--max-new-tokens", "2"]
    run = [sys.executable, "-c", _RUN, "harvest", *words]
    first, again, other = (
        subprocess.run([*run, *more], capture_output=True, text=True, check=False, timeout=120)
        for more in ([], [], ["--max-new-tokens", "3"])
    )
    assert first.returncode == 100, first.stderr
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert other.returncode == 102, "twin: what is not recognised loads torch, and is refused"
