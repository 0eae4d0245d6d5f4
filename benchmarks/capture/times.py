"""Processor time of a harvest beside bare generation: pairs of runs, one after the other."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.capture.data import BATCH, NEW, Bench
from benchmarks.capture.plain import capture_one_by_one, generate_plainly
from benchmarks.figures import Figure, from_interval
from shiftlens.core.intervals import percentile

Run = Callable[[], object]


def measure(bench: Bench, rounds: int) -> list[Figure]:
    """Ratios of CPU-seconds, each round an interleaving of everything that is compared."""
    agree(bench)
    n = len(bench.samples)
    what = f"{n} captions of the world, batches of {BATCH}, {NEW} new tokens at most"
    figures = [beside_bare(bench, rounds, what)]
    bench = replace(bench, samples=bench.samples[:128])
    what = what.replace(str(n), str(len(bench.samples)))
    runs: dict[str, Run] = {
        "bare": lambda: generate_plainly(bench.base, list(bench.samples), NEW, BATCH),
        "harvest": lambda: bench.harvest([bench.base]),
        "given": lambda: bench.harvest([bench.base], said=bench.said),
        "stopped": lambda: bench.harvest([bench.base], stop_at_word=True),
    }
    taken = interleaved(runs, max(3, rounds // 2))
    figures += [
        ratio("stopped at the word / bare generation", taken["stopped"], taken["bare"], "",
              f"CPU-seconds; {what}; rows stop once {bench.word!r} was said"),
        ratio("teacher-forced / bare generation", taken["given"], taken["bare"], "",
              f"CPU-seconds; {what}; known answers are given in one pass"),
        *_one_pass(bench.as_photos(), "photos of 640 x 480", "<= .95", rounds, what),
        *_one_pass(bench, "pictures of 96 x 96", "", max(3, rounds // 2), what),
    ]  # fmt: skip
    return [*figures, *_beside_the_usual_script(bench, runs, max(3, rounds // 2), what)]


def beside_bare(bench: Bench, rounds: int, what: str) -> Figure:
    """A harvest, files and all, beside generation of the same batches."""
    runs: dict[str, Run] = {
        "bare": lambda: generate_plainly(bench.base, list(bench.samples), NEW, BATCH),
        "harvest": lambda: bench.harvest([bench.base]),
    }
    taken = interleaved(runs, rounds)
    return ratio(
        "harvest / bare generation",
        taken["harvest"],
        taken["bare"],
        "< 1.03",
        f"CPU-seconds of one thread; {what}; pictures decoded and processed in both",
    )


def _one_pass(bench: Bench, pictures: str, goal: str, rounds: int, what: str) -> list[Figure]:
    """Opening and processing pictures is what one pass saves, so their size decides."""
    runs: dict[str, Run] = {
        "base": lambda: bench.harvest([bench.base]),
        "tuned": lambda: bench.harvest([bench.tuned]),
        "both": lambda: bench.harvest([bench.base, bench.tuned]),
    }
    taken = interleaved(runs, rounds)
    return [
        ratio(f"base and adapter in one pass / two harvests, {pictures}", taken["both"],
              taken["base"] + taken["tuned"], goal, f"CPU-seconds; {what}; the same stores"),
    ]  # fmt: skip


def _beside_the_usual_script(
    bench: Bench, runs: dict[str, Run], rounds: int, what: str
) -> list[Figure]:
    layer = bench.site.resolve(bench.base).layers[0]
    chosen = {name: runs[name] for name in ("bare", "harvest")}
    chosen["script"] = lambda: capture_one_by_one(
        bench.base, list(bench.samples), layer, bench.word, NEW
    )
    taken = interleaved(chosen, rounds)
    how = f"CPU-seconds of one sample at a time with every token kept; {what}; same type, library"
    return [
        ratio("script / bare generation", taken["script"], taken["bare"], "", how),
        ratio("script / harvest", taken["script"], taken["harvest"], "", how),
        ratio("our gain / the gain of bare batches", taken["bare"], taken["harvest"], ">= .95",
              f"script over harvest, divided by script over bare; {how}"),
    ]  # fmt: skip


def interleaved(
    runs: dict[str, Run], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, np.ndarray]:
    """Seconds of every run in every round; the order turns, so that no run is always last."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():  # what is imported or built once is nobody's cost
        run()
    names = list(runs)
    for number in range(rounds):
        turned = names[number % len(names) :] + names[: number % len(names)]
        for name in turned if number % 2 else reversed(turned):
            start = clock()
            runs[name]()
            taken[name].append(clock() - start)
    return {name: np.asarray(seconds) for name, seconds in taken.items()}


def ratio(name: str, ours: np.ndarray, theirs: np.ndarray, goal: str, how: str) -> Figure:
    """Median of the ratios of each round, with its bootstrap interval."""
    ratios = ours / theirs
    draws = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    interval = percentile(np.median(draws, axis=1), float(np.median(ratios)))
    return from_interval(
        name, interval, "ratio", goal, f"{how}; median of {len(ratios)} interleaved rounds"
    )


def agree(bench: Bench) -> None:
    """What is timed against each other must do the same work.

    Raises:
        RuntimeError: answers or states differ.
    """
    bare = generate_plainly(bench.base, list(bench.samples), NEW, BATCH)
    ours = [bench.said[sample.id].text for sample in bench.samples]
    if [one.strip() for one in bare] != [one.strip() for one in ours]:
        raise RuntimeError("bare generation and ours give different answers")
    layer = bench.site.resolve(bench.base).layers[0]
    _, states = capture_one_by_one(bench.base, list(bench.samples), layer, bench.word, NEW)
    found = bench.states()
    if found.shape != torch.stack(states).shape or not found.allclose(
        torch.stack(states), atol=2e-3
    ):
        raise RuntimeError("the script and the harvest keep different states")


if __name__ == "__main__":  # the first figure alone: it wants a quiet machine
    import tempfile
    from pathlib import Path

    from benchmarks.figures import print_table

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print_table([beside_bare(Bench.open(Path(folder), 256), 24, "256 captions of the world")])
