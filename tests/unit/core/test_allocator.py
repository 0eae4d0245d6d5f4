"""Freed memory is used again, counted in pages that the system had to clear (Linux, glibc)."""

import os
import subprocess
import sys

_SCRIPT = """
import resource
from shiftlens.core.allocator import keep_freed_memory
kept = {call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
import numpy
def work():
    # Two at once: the library learns from a single one by itself.
    first, second = (numpy.ones(2**18) for _ in range(2))
    del first, second
work()
before = faults()
for _ in range(50):
    work()
print(kept, faults() - before)
"""


def _run(call: str, **environment: str) -> tuple[str, int]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(call=call)],
        env=clean | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    kept, faults = done.stdout.split()
    return kept, int(faults)


def test_freed_memory_is_used_again_and_without_the_call_it_is_not() -> None:
    kept, faults = _run("keep_freed_memory()")
    assert kept == "True"
    assert faults < 200, "2 MB are 512 pages, and 100 of them were asked for"
    assert _run("None")[1] > 10 * max(faults, 1)


def test_what_the_user_has_said_stays() -> None:
    assert _run("keep_freed_memory()", MALLOC_ARENA_MAX="4")[0] == "False"
