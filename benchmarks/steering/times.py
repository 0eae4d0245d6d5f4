"""How long steering takes beside not steering, and how long a search takes."""

import shutil
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.figures import Figure, from_interval
from benchmarks.steering.data import Bench
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.core.intervals import percentile
from shiftlens.models.generation import generate
from shiftlens.models.prompts import encode
from shiftlens.steering.applying import steer
from shiftlens.steering.directions import answers
from shiftlens.steering.gates import AboutToSay
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.searching import OffTarget, layer_directions, search
from shiftlens.steering.tasks import AnswersTask

_ROUNDS = 120
_BATCH = 16
STRENGTHS = (0.5, 0.75, 1.0, 1.5, 2.0)


def measure(bench: Bench) -> list[Figure]:
    """Ratios within one run, and one wall time."""
    fit = bench.draw("yesno", 400, 1000)
    layers = tuple(range(bench.base.address.n_layers))
    site = Site(layers, tokens.last_prompt())
    store = bench.states([bench.base], fit, site, "times")[0]
    directions = layer_directions(store, source=answers("yes"), target=answers("no"))
    vector = directions[layers[-1]]
    small = vector.scaled_to(vector.norm * 1e-3)  # the same answers: the same number of steps
    inputs = encode(bench.base, list(bench.draw("captions", 350, 2010)[:_BATCH]))

    def plain() -> None:
        generate(bench.base, inputs, max_new_tokens=20)

    def steered(one: Intervention) -> Callable[[], None]:
        def run() -> None:
            with steer(bench.base, one):
                generate(bench.base, inputs, max_new_tokens=20)

        return run

    gate = AboutToSay.of(bench.base, "no")
    figures = [
        _ratio(
            "steered / unsteered generation, batch 16",
            plain,
            steered(Intervention(small)),
            "<= 1.03",
        ),
        _ratio(
            "the same with a gate at every step",
            plain,
            steered(Intervention(small, gate=~gate)),
            "",
        ),
    ]
    return [*figures, _search(bench, directions, layers)]


def _ratio(name: str, plain: Callable[[], None], other: Callable[[], None], goal: str) -> Figure:
    """Median of paired ratios; the plain run before and after each other one is the yardstick."""
    plain()
    other()
    ratios: list[float] = []
    for _ in range(_ROUNDS):
        before, between, after = (_seconds(run) for run in (plain, other, plain))
        ratios.append(2 * between / (before + after))
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    interval = percentile(draws, float(np.median(ratios)))
    how = f"captions of {_BATCH} pictures; median of {_ROUNDS} ratios, each between two plain runs"
    return from_interval(name, interval, "ratio", goal, how)


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _search(bench: Bench, directions: object, layers: Sequence[int]) -> Figure:
    out = bench.root / "search"
    shutil.rmtree(out, ignore_errors=True)
    samples = bench.draw("yesno", 400, 4000)
    off = OffTarget("number", bench.draw("number", 400, 4001))
    start = time.monotonic()
    found = search(
        bench.base,
        AnswersTask("yes", "no"),
        samples,
        directions=directions,  # pyright: ignore[reportArgumentType]
        layers=layers,
        strengths=STRENGTHS,
        off_target=(off,),
        halving=False,
        out=out,
    )
    seconds = time.monotonic() - start
    how = (
        f"{len(layers)} layers x {len(STRENGTHS)} strengths, 200 questions and 200 off target a "
        f"cell, none left out; chosen: {found.chosen.cell}"
    )
    return Figure("search", seconds, None, None, "s", "<= 180", how)
