"""SIGKILL at every moment of a harvest: nothing lost, nothing twice, every byte the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shiftlens.activations.store import ActivationStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MOMENTS = 6 + 2 * 8 + 4 * 4


@pytest.fixture(scope="module")
def killed(
    tiny_path: Path, pictures: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, tuple[int, int]]]:
    """The folder of all stores, and for each moment how the child ended and what was finished."""
    out = tmp_path_factory.mktemp("killed")
    program = [sys.executable, "-m", "tests.faults.killed_harvest"]
    run = subprocess.run(
        [*program, str(tiny_path), str(pictures[0].parent), str(out)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    return out, {name: (int(code), int(parts)) for name, code, parts in lines}


def _files(folder: Path) -> dict[str, bytes]:
    # Hidden files are locks, and what a writer had not renamed when it was killed.
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def test_every_run_was_killed(killed: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    """Twin: the runs did end early, at different moments, with different amounts finished."""
    _, ends = killed
    assert len(ends) == MOMENTS
    assert {code for code, _ in ends.values()} == {-signal.SIGKILL}
    assert {parts for _, parts in ends.values()} == {0, 1, 2, 3}


def test_after_going_on_every_byte_is_the_same(
    killed: tuple[Path, dict[str, tuple[int, int]]],
) -> None:
    out, ends = killed
    whole = _files(out / "whole")
    assert len(whole) == 1 + 2 * 3
    for name in ends:
        assert _files(out / name) == whole, name


def test_the_stores_are_whole(killed: tuple[Path, dict[str, tuple[int, int]]]) -> None:
    out, ends = killed
    for name in ends:
        store = ActivationStore.open(out / name)
        store.verify()
        assert store.sample_ids == [f"q{i}" for i in range(6)]
