"""The figures: one visitor alone, then ten at once."""

import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.playground.server import Server, make_run, serving
from benchmarks.playground.visitor import Visit, Visitor

SECONDS = 120.0
VISITORS = 10
_ALONE = 20  # answers to one visitor
_LOOKS = 0.5  # seconds between two looks at the server's memory


def measure(seconds: float = SECONDS, visitors: int = VISITORS) -> list[Figure]:
    """All figures; a server is started for them and ended."""
    with tempfile.TemporaryDirectory() as folder, serving(make_run(Path(folder))) as server:
        alone = Visitor(server.url, 1.0)
        alone.visit()  # what is loaded at the first question
        single = [alone.visit() for _ in range(_ALONE)]
        many, memory = _together(server, seconds, visitors)
    return [*_single(single), *_many(many, memory, seconds, visitors)]


def _together(server: Server, seconds: float, visitors: int) -> tuple[list[Visit], list[float]]:
    """Answers to visitors who ask again as soon as they are answered, and the server's memory."""
    seen: list[Visit] = []
    end = time.monotonic() + seconds

    def stay(number: int) -> None:
        # Opposite strengths, all different: an answer to somebody else would be noticed.
        one = Visitor(server.url, (-1) ** number * (0.5 + 0.25 * number))
        while time.monotonic() < end:
            seen.append(one.visit())

    threads = [threading.Thread(target=stay, args=(number,)) for number in range(visitors)]
    for one in threads:
        one.start()
    memory: list[float] = []
    while any(one.is_alive() for one in threads):
        memory.append(server.memory)
        time.sleep(_LOOKS)
    return seen, memory


def _single(visits: list[Visit]) -> list[Figure]:
    firsts = [one.first for one in visits if not one.error]
    return [
        Figure(
            "first word, one visitor",
            statistics.median(firsts),
            min(firsts),
            max(firsts),
            "s",
            "<= 1",
            f"from the request to the first word on the embedded model, {len(firsts)} answers; "
            "low and high are the fastest and the slowest",
        ),
        Figure(
            "both answers and receipt, one visitor",
            statistics.median(one.whole for one in visits),
            None,
            None,
            "s",
            "",
            "median of the same answers",
        ),
    ]


def _many(visits: list[Visit], memory: list[float], seconds: float, visitors: int) -> list[Figure]:
    wrong = [one.error for one in visits if one.error]
    firsts = sorted(one.first for one in visits if not one.error)
    quarter = max(1, len(memory) // 4)
    before = statistics.median(memory[quarter : 2 * quarter] or memory)
    after = statistics.median(memory[-quarter:])
    who = f"{visitors} visitors at once for {seconds:g} s"
    return [
        Figure("answers, many visitors", len(visits), None, None, "", "> 0", who),
        Figure(
            "errors, many visitors",
            len(wrong),
            None,
            None,
            "",
            "= 0",
            f"refusals, broken answers, receipts of somebody else; {who}"
            + (f"; the first: {wrong[0]}" if wrong else ""),
        ),
        Figure(
            "first word, many visitors",
            statistics.median(firsts),
            firsts[0],
            firsts[-1],
            "s",
            "",
            f"waiting in the queue included; {who}",
        ),
        Figure(
            "memory, end over beginning",
            after / before,
            None,
            None,
            "ratio",
            "<= 1.03",
            f"resident memory in the last quarter ({after:.0f} MiB) over that in the second "
            f"({before:.0f} MiB); {who}",
        ),
    ]
