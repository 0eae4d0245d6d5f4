"""Disks that are really full, of room and of names, and directories that may not be written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.comparing import differences
from tests.faults.disks import files_up_to, without_rights

from shiftlens.activations.harvesting import harvest
from shiftlens.activations.recognising import finished, note_request
from shiftlens.activations.site import Site
from shiftlens.activations.verifying import verify
from shiftlens.core.errors import MachineError
from shiftlens.data.sample import Sample, Samples
from shiftlens.models.model import Model

ROOT = Path(__file__).parents[2]
SITE, OPTIONS = Site(-1), {"max_new_tokens": 2, "part_size": 2}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What harvests said on disks of every size; see ``full_disks.py``."""
    folder = tmp_path_factory.mktemp("disks")
    run = subprocess.run(
        [sys.executable, "-m", "tests.faults.full_disks", str(folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
def test_a_full_disk_is_told_and_filled_further_once_it_is_larger(found: dict[str, Any]) -> None:
    full = [one for one in found["cases"] if one["errors"] and one["disk"] != "read-only"]
    assert len(full) >= (4 + 2 * 5 if found["mounts"] else 4)
    for case in full:
        assert case["errors"] == ["MachineError", "MachineError"], case
        wanted = "is larger than a file" if "bytes" in case["disk"] else "the disk is full while"
        assert wanted in case["told"], case
        assert case["left"] == [], case
        assert "unfinished" in case["opened"] or "holds no store" in case["opened"], case
    assert [one["differences"] for one in found["cases"]] == [[]] * len(found["cases"])


@pytest.mark.slow
def test_disks_were_full_at_every_moment(found: dict[str, Any]) -> None:
    """Twin: the sizes did matter, and the largest disk was large enough.

    Which of two files meets the end of the disk first is left open where both are on their way: a
    part is put into the journal while the next one is being written.
    """
    cases = [one for one in found["cases"] if one["disk"].endswith((" kB", " files"))]
    told = " ".join(one["told"] for one in cases)
    assert not found["mounts"] or all(
        name in told for name in ("manifest.json", "shard-00000", "shard-00001", "shard-00002")
    )
    large = [one for one in cases if not one["errors"]]
    assert len(large) == (2 if found["mounts"] else 0)
    assert all(one["opened"] == "whole" for one in large)


@pytest.mark.slow
def test_a_read_only_disk_is_told_and_a_finished_store_on_it_is_recognised(
    found: dict[str, Any],
) -> None:
    (case,) = (one for one in found["cases"] if one["disk"] == "read-only")
    assert case["errors"] == ["MachineError"]
    assert "closed may not be written" in case["told"]
    assert case["opened"] == "", "harvesting what is there already raises nothing"


def test_files_that_may_not_grow_are_told(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples = Samples(questions)
    whole = harvest(tiny, samples, SITE, tmp_path / "whole", **OPTIONS)
    large = (whole.path / "manifest.json").stat().st_size
    for size in (0, 700, large - 1):
        out = tmp_path / f"out-{size}"
        with files_up_to(size), pytest.raises(MachineError, match="larger than a file of this"):
            harvest(tiny, samples, SITE, out, **OPTIONS)
        assert not list(out.glob(".*.tmp"))
        harvest(tiny, samples, SITE, out, **OPTIONS)
        assert differences(whole.path, out) == []
    with files_up_to(large + 4096):  # Twin: enough is enough.
        harvest(tiny, samples, SITE, tmp_path / "out", **OPTIONS)


def test_a_directory_without_rights_is_told(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    out.mkdir()
    with without_rights(out):
        with pytest.raises(MachineError, match=r"out may not be written .*Permission denied"):
            harvest(tiny, samples, SITE, out, **OPTIONS)
        with pytest.raises(MachineError, match="may not be written"):
            harvest(tiny, samples, SITE, out / "deeper", **OPTIONS)
        assert list(out.iterdir()) == []
    harvest(tiny, samples, SITE, out, **OPTIONS)  # Twin: the rights were all that was wrong.


def test_a_finished_store_that_may_not_be_written_is_read_and_recognised(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    store = harvest(tiny, samples, SITE, out, **OPTIONS)
    note_request(out, "key", [store._manifest])
    with without_rights(out):
        again = harvest(tiny, samples, SITE, out, **OPTIONS)
        assert again.states().equal(store.states())
        assert verify(out).sound
        assert finished(out, "key")


def test_one_that_is_unfinished_is_told(
    tiny: Model, questions: list[Sample], tmp_path: Path
) -> None:
    samples, out = Samples(questions), tmp_path / "out"
    harvest(tiny, samples, SITE, out, **OPTIONS, part=(1, 2))
    with without_rights(out), pytest.raises(MachineError, match="may not be written"):
        harvest(tiny, samples, SITE, out, **OPTIONS)
    assert harvest(tiny, samples, SITE, out, **OPTIONS).complete
