"""SIGKILL at random times: ``make faults RUNS=200`` is the long form of this."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.comparing import differences
from tests.faults.phases import NAMES, Phase

ROOT = Path(__file__).parents[2]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )


@pytest.mark.slow
def test_what_goes_on_is_the_same_to_the_byte() -> None:
    run = _run("--runs", "12", "--seed", "1", "--json")
    found = json.loads(run.stdout)
    assert found["faults"] == []
    assert run.returncode == 0, run.stderr
    assert sum(found["runs"].values()) == 12
    # Twin: kills did land while there was something to lose.
    landed = {name: sum(n for _, at, n in found["landed"] if at == name) for name in NAMES}
    early = sum(n for name, n in landed.items() if name != "ended")
    assert early >= 6, landed
    assert sum(n > 0 for n in landed.values()) >= 3, landed


@pytest.mark.slow
def test_twin_a_part_that_counts_before_it_is_written_is_found() -> None:
    run = _run("--runs", "8", "--only", "one model", "--sabotage", "--json")
    assert run.returncode == 1, run.stderr
    told = json.loads(run.stdout)["faults"]
    assert any("differs" in one or "ended with" in one for one in told), told


def test_differences_are_found(tmp_path: Path) -> None:
    whole, other = tmp_path / "whole", tmp_path / "other"
    for root in (whole, other):
        (root / "base").mkdir(parents=True)
        for name in ("base/a", "b", "c"):
            (root / name).write_text(name)
    (other / ".lock-1-of-2").touch()
    assert differences(whole, other) == []
    (other / "base" / "a").write_text("A")
    (other / "b").unlink()
    (other / ".c.k3x.tmp").touch()
    assert differences(whole, other) == [
        "b is missing",
        ".c.k3x.tmp was left behind",
        "base/a differs",
    ]


def test_a_phase_is_seen_from_another_process() -> None:
    phase = Phase()
    pid = os.fork()
    if not pid:
        phase.set("journal")
        os._exit(0)
    os.waitpid(pid, 0)
    assert phase.name == "journal"
