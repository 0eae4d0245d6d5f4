"""Harvests on workers: the store of a serial run, to the byte, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.distributed import work
from tests.unit.distributed.kills import KillsOne

from shiftlens.activations import harvesting
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.journal import journals
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.site import Site
from shiftlens.activations.tokens import mean_response, word
from shiftlens.core.errors import DataError, MachineError
from shiftlens.data.sample import Sample, Samples
from shiftlens.distributed.ray_executor import RayExecutor
from shiftlens.models.model import Model

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

ROOT = Path(__file__).parents[3]
SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 1}


class Listener:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.steps: list[int] = []

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1) -> None:
        self.done += n
        self.steps.append(n)

    def stop(self) -> None:
        pass


def _files(folder: Path) -> dict[str, bytes]:
    """Every file by name; hidden ones are locks, and what a killed writer left."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name[0] != "."
    }


@pytest.fixture
def samples(questions: list[Sample]) -> Samples:
    return Samples(questions)


@pytest.fixture
def short() -> Iterator[str]:
    """A place for what a killed driver cannot clear away, under a name that sockets can bear."""
    with tempfile.TemporaryDirectory(prefix="k-", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers_writes_the_store_of_a_serial_run(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path, workers: int
) -> None:
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    executor, listener = RayExecutor(workers), Listener()
    out = tmp_path / "out"
    store = harvest(tiny, samples, SITE, out, executor=executor, progress=listener, **OPTIONS)
    assert store.complete
    assert _files(out) == _files(whole.path)
    assert sum(one.samples for one in executor.rates) == len(samples)
    assert (listener.total, listener.done) == (len(samples), len(samples))


def test_a_pair_is_harvested_with_its_adapter_on_and_off(
    ray_here: None, pair: tuple[Model, Model], samples: Samples, tmp_path: Path
) -> None:
    site, options = Site((0, -1), mean_response()), {"max_new_tokens": 4, "part_size": 2}
    harvest(pair, samples, site, tmp_path / "whole", **options)
    harvest(pair, samples, site, tmp_path / "out", executor=RayExecutor(2), **options)
    found = _files(tmp_path / "out")
    assert found == _files(tmp_path / "whole")
    # Twin: the two models do differ, so that the adapter was on for one of them only.
    shard = "shard-00000.safetensors"
    assert found[f"base/{shard}"] != found[f"tuned/{shard}"]


def test_a_killed_worker_s_part_is_counted_once(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    killer, listener = KillsOne(), Listener()
    executor = RayExecutor(2, watch=killer)
    out = tmp_path / "out"
    harvest(tiny, samples, SITE, out, executor=executor, progress=listener, **OPTIONS)
    assert killer.killed is not None
    assert sum(one.lost for one in executor.rates) == 1
    assert sum(one.parts for one in executor.rates) == len(samples)
    assert listener.steps == [0, *([1] * len(samples))]
    assert _files(out) == _files(whole.path)


def test_twin_without_patience_the_kill_ends_the_run_and_the_same_call_goes_on(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    out, executor = tmp_path / "out", RayExecutor(1, deaths=1, watch=KillsOne())
    with pytest.raises(MachineError, match=r"part \d \(1 samples, 'q\d' to 'q\d'\) killed its"):
        harvest(tiny, samples, SITE, out, executor=executor, **OPTIONS)
    kept = sorted(read_manifest(out).parts)
    assert kept == list(range(sum(one.parts for one in executor.rates)))
    assert 0 < len(kept) < len(samples)
    assert harvest(tiny, samples, SITE, out, executor=RayExecutor(1), **OPTIONS).complete
    assert _files(out) == _files(whole.path)


def test_an_error_keeps_what_was_finished(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options: dict[str, Any] = {**OPTIONS, "executor": RayExecutor(1)}
    blocked = out / "shard-00003.safetensors"
    blocked.mkdir(parents=True)  # nothing can be renamed onto it
    (blocked / "full").touch()
    with pytest.raises(OSError, match="shard-00003"):
        harvest(tiny, samples, SITE, out, **options)
    assert sorted(read_manifest(out).parts) == [0, 1, 2]
    (blocked / "full").unlink()
    blocked.rmdir()
    assert harvest(tiny, samples, SITE, out, **options).complete  # twin: the way is free
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    assert _files(out) == _files(whole.path)


def test_what_a_worker_wrote_to_a_disk_of_its_own_does_not_count(
    ray_here: None,
    tiny: Model,
    samples: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(harvesting, "harvest_part", work.harvest_elsewhere)
    out, executor = tmp_path / "out", RayExecutor(1, arrival=0.1)
    with pytest.raises(MachineError, match=r"worker \d+ on .* and it is not there\n  a directory"):
        harvest(tiny, samples, SITE, out, executor=executor, **OPTIONS)
    assert read_manifest(out).parts == {}
    assert (tmp_path / "out-of-another-machine" / "shard-00000.safetensors").exists()


def test_a_relative_path_is_where_the_driver_stands(
    ray_here: None,
    tiny: Model,
    samples: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # the workers stand elsewhere
    store = harvest(tiny, samples, SITE, "runs/out", executor=RayExecutor(1), **OPTIONS)
    assert store.complete
    assert (tmp_path / "runs" / "out" / "shard-00005.safetensors").exists()


def test_a_store_without_rows_is_the_same(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    site = Site(-1, word("nowhere"))
    options: dict[str, Any] = {**OPTIONS, "part_size": 3}
    whole = harvest(tiny, samples, site, tmp_path / "whole", allow_empty=True, **options)
    assert len(whole) == 0
    out = tmp_path / "out"
    options["executor"] = RayExecutor(2)
    harvest(tiny, samples, site, out, allow_empty=True, **options)
    assert _files(out) == _files(whole.path)
    with pytest.raises(DataError, match="none of 6 responses holds 'nowhere'"):
        harvest(tiny, samples, site, out, **options)


def test_a_share_may_be_run_on_workers(
    ray_here: None, tiny: Model, samples: Samples, tmp_path: Path
) -> None:
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    out = tmp_path / "out"
    options: dict[str, Any] = {**OPTIONS, "executor": RayExecutor(1)}
    assert not harvest(tiny, samples, SITE, out, part=(2, 2), **options).complete
    assert sorted(read_manifest(out).parts) == [1, 3, 5]
    assert harvest(tiny, samples, SITE, out, part=(1, 2), **OPTIONS).complete
    assert _files(out) == _files(whole.path)


def test_a_killed_driver_leaves_no_process_and_the_same_call_goes_on(
    tiny: Model, tiny_path: Path, samples: Samples, tmp_path: Path, short: str
) -> None:
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    out, folder = tmp_path / "out", Path(samples[0].images[0]).parent
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.distributed.kills", str(tiny_path), str(folder), out],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": short},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    workers = [int(pid) for pid in driver.stdout.readline().split()]
    driver.send_signal(signal.SIGKILL)
    assert driver.wait(timeout=60) == -signal.SIGKILL
    driver.stdout.close()
    assert workers
    assert all(work.ends(pid) for pid in workers)
    done = sorted(read_manifest(out).parts)
    assert journals(out)
    assert 0 < len(done) < len(samples)
    before = {number: _changed(out, number) for number in done}
    assert harvest(tiny, samples, SITE, out, **OPTIONS).complete
    assert {number: _changed(out, number) for number in done} == before, "done once"
    assert _files(out) == _files(whole.path)


def _changed(out: Path, number: int) -> int:
    return (out / f"shard-{number:05d}.safetensors").stat().st_mtime_ns
