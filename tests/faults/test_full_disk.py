"""A full disk at any moment of a harvest: no half store, one sentence, and it goes on later."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import safetensors.torch
from safetensors import SafetensorError

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.cli.main import run_app
from shiftlens.core.errors import MachineError, StoreError
from shiftlens.core.manifest import disk_guard, write_json
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 2}
_TOLD = "I/O error: No space left on device (os error 28)"  # safetensors' own words, word for word


def _full(number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number))


def _failing(real: Callable[..., Any], error: Exception, after: int) -> Callable[..., Any]:
    """A writer that works ``after`` times, and then meets a full disk with half its work done."""
    calls = 0

    def write(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= after:
            return real(*args, **options)
        target = next((one for one in args if isinstance(one, Path)), None)
        if target is not None:
            with target.open("wb") as stream:
                stream.write(b"half")
        raise error

    return write


MOMENTS: dict[str, tuple[Any, str, Exception]] = {
    "shard": (safetensors.torch, "save_file", SafetensorError(f"Error while serializing: {_TOLD}")),
    "rows": (pyarrow.parquet, "write_table", _full()),
    "sync": (os, "fsync", _full(errno.EDQUOT)),
    "manifest": (Path, "write_bytes", _full()),
}


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_half_written_and_it_goes_on(
    tiny: Model, questions: list[Sample], tmp_path: Path, moment: str, after: int
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    owner, name, error = MOMENTS[moment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, _failing(getattr(owner, name), error, after))
        with pytest.raises(MachineError, match="the disk is full while writing") as caught:
            harvest(tiny, samples, SITE, out, **OPTIONS)
    assert caught.value.exit_code == 3
    assert "run the same command again" in str(caught.value)
    assert not list(out.glob(".*.tmp")), "temporary files are removed"
    if (out / "manifest.json").exists():
        with pytest.raises(StoreError, match="unfinished"):
            ActivationStore.open(out)
    store = harvest(tiny, samples, SITE, out, **OPTIONS)
    store.verify()
    assert store.fingerprint == whole.fingerprint
    assert (out / "manifest.json").read_bytes() == (whole.path / "manifest.json").read_bytes()


def test_the_old_file_stays_when_the_new_one_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"old": True})
    monkeypatch.setattr(os, "fsync", _failing(os.fsync, _full(), 0))
    with pytest.raises(MachineError, match=r"result.json"):
        write_json(path, {"new": True})
    assert path.read_text() == '{\n "old": true\n}\n'
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "error",
    [_full(errno.EIO), ValueError("os error"), SafetensorError("(os error 5)")],
    ids=["device", "other", "device in rust"],
)
def test_twin_any_other_fault_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_guard(Path("x")):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [_full(errno.EROFS), _full(errno.EACCES), SafetensorError("(os error 13)")],
    ids=["read-only", "denied", "denied in rust"],
)
def test_a_directory_that_may_not_be_written_is_named(error: Exception) -> None:
    with pytest.raises(MachineError, match="runs/x may not be written") as caught:
        with disk_guard(Path("runs/x")):
            raise error
    assert caught.value.exit_code == 3
    assert "a directory of your own" in str(caught.value)


def test_the_command_leaves_with_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", _failing(os.fsync, _full(), 0))
    code = run_app(["world", "draw", "people", "-n", "1", "--out", str(tmp_path / "photos")])
    told = capsys.readouterr().err
    assert code == 3
    assert told.startswith("MachineError: the disk is full while writing")
    assert "Traceback" not in told
    assert not (tmp_path / "photos" / "data.jsonl").exists()
