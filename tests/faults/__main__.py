"""``python -m tests.faults --runs 200``: SIGKILL at random times of harvests, and what came of it.

A table says where the kills landed; the exit code is 1 if a run that went on differs by one byte
from one that was never disturbed, or if a phase was never hit although there were runs enough.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.killing import Killer, Kills
from tests.faults.phases import NAMES
from tests.faults.sabotage import count_before_writing
from tests.faults.scenes import build_scenes

_ENOUGH = 100  # runs, from which on each phase must have been hit


def main(words: list[str]) -> int:
    """Parse, run, print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults")
    parser.add_argument("--runs", type=int, default=20, help="runs that are killed, 1 to 3 times")
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    parser.add_argument("--only", default="", help="scenes by name, with commas")
    parser.add_argument("--sabotage", action="store_true", help="break harvests; must be found")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    asked = parser.parse_args(words)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shiftlens-faults-") as folder:
        chosen = [one.strip() for one in asked.only.split(",") if one.strip()]
        scenes = [
            one
            for one in build_scenes(Path(folder))
            if (one.name in chosen if chosen else one.usual)
        ]
        spoilt = [count_before_writing] if asked.sabotage else []
        kills = Killer(Path(folder), asked.seed, *spoilt).run(
            scenes, asked.runs, _telling(asked.runs)
        )
    missed = [one for one in NAMES if asked.runs >= _ENOUGH and not kills.in_phase(one)]
    if asked.json:
        landed = [[*key, n] for key, n in kills.landed.items()]
        document = {
            "runs": kills.runs,
            "landed": landed,
            "workers": kills.workers,
            "faults": kills.faults,
            "missed": missed,
        }
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        sys.stdout.write(_table(kills, time.monotonic() - began, missed))
    return 1 if kills.faults or missed else 0


def _telling(runs: int) -> Callable[[int], None]:
    def told(number: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number} of {runs} runs" + ("\n" if number == runs else ""))
            sys.stderr.flush()

    return told


def _table(kills: Kills, seconds: float, missed: list[str]) -> str:
    """Scenes and phases in eighty columns."""
    head = ["killed while", "runs", *(name[:6] for name in NAMES)]
    rows = [
        [scene, str(n), *(str(kills.landed[scene, phase]) for phase in NAMES)]
        for scene, n in kills.runs.items()
    ]
    total = [str(kills.in_phase(phase)) for phase in NAMES]
    rows.append(["all", str(kills.runs.total()), *total])
    columns = (head, *rows)
    lines = [f"{a:<14}{b:>5}" + "".join(f"{n:>7}" for n in rest) for a, b, *rest in columns]
    told = f"{kills.runs.total()} runs, {kills.landed.total() + kills.workers} kills "
    told += f"({kills.workers} of processes that they started), {seconds:.0f} s"
    lines += ["", f"{told}; {len(kills.faults) or 'no'} differences from undisturbed runs"]
    lines += [f"  {one}" for one in kills.faults]
    lines += [f"  no kill hit the phase {one!r}: nothing is proven about it" for one in missed]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
