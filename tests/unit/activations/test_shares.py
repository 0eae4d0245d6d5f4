"""A harvest in shares: any order, any number of processes, one store to the byte."""

from pathlib import Path

import pytest

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.manifest import read_manifest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.core.errors import DataError, MachineError, StoreError
from shiftlens.core.locking import locked
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 1}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 2, 3, 1)])
def test_shares_in_any_order_are_the_whole_to_the_byte(
    tiny: Model, questions: list[Sample], tmp_path: Path, order: tuple[int, ...]
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    for number in order[:-1]:
        store = harvest(tiny, samples, SITE, out, part=(number, 3), **OPTIONS)
        assert not store.complete
        with pytest.raises(StoreError, match="is unfinished"):
            ActivationStore.open(out)
    store = harvest(tiny, samples, SITE, out, part=(order[-1], 3), **OPTIONS)
    assert store.complete
    assert _files(out) == _files(whole.path)


def test_a_share_runs_its_own_parts_and_no_others(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples = Samples(questions)
    harvest(tiny, samples, SITE, tmp_path, part=(2, 2), **OPTIONS)
    assert sorted(read_manifest(tmp_path).parts) == list(range(1, len(samples), 2))


def test_a_plain_run_takes_in_what_shares_have_done(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    harvest(tiny, samples, SITE, out, part=(1, 2), **OPTIONS)
    done = {file.name: file.stat().st_mtime_ns for file in out.glob("shard-*")}
    assert harvest(tiny, samples, SITE, out, **OPTIONS).complete
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    assert _files(out) == _files(whole.path)


def test_more_shares_than_parts_leave_some_with_nothing(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, n = Samples(questions), len(questions) + 1
    for number in range(1, n + 1):
        store = harvest(tiny, samples, SITE, tmp_path, part=(number, n), **OPTIONS)
    assert store.complete


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0), (-1, 2)])
def test_a_share_that_does_not_exist_is_refused(
    tiny: Model, questions: list[Sample], tmp_path: Path, part: tuple[int, int]
) -> None:
    with pytest.raises(DataError, match="of a run does not exist"):
        harvest(tiny, Samples(questions), SITE, tmp_path, part=part, **OPTIONS)


def test_two_processes_do_not_write_one_store(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples = Samples(questions)
    with locked(tmp_path / "out"):
        with pytest.raises(MachineError, match="is being written by"):
            harvest(tiny, samples, SITE, tmp_path / "out", **OPTIONS)
    harvest(tiny, samples, SITE, tmp_path / "out", **OPTIONS)
    with locked(tmp_path / "out"):  # twin: a finished store is only read
        assert harvest(tiny, samples, SITE, tmp_path / "out", **OPTIONS).complete
