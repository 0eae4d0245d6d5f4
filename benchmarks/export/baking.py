"""What baking costs: how far weights are from hooks, family by family, and the time of decoding."""

import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
from tests.architectures.families.table import FAMILIES
from tests.builders import build_vector
from tests.export.baked_families import ABLATED, ADDED, ablation, addition, baked, build

from benchmarks.figures import Figure, from_interval
from shiftlens.core.intervals import percentile
from shiftlens.data.reading import read
from shiftlens.models.generation import generate
from shiftlens.models.loading import load_model
from shiftlens.models.model import Model
from shiftlens.models.prompts import Inputs, encode
from shiftlens.steering.applying import steer
from shiftlens.steering.exporting import export
from shiftlens.steering.exporting.baking.receipt import RECEIPT
from shiftlens.steering.intervening import Intervention
from shiftlens.world.source import materialise

_ROUNDS, _BATCH, _TOKENS = 150, 4, 24


def measure() -> list[Figure]:
    """Differences first, then times."""
    with tempfile.TemporaryDirectory() as place:
        return [*_differences(Path(place)), *_times(Path(place))]


def _differences(root: Path) -> list[Figure]:
    """Of files that were written and loaded again, for every family that can be baked."""
    figures: list[Figure] = []
    for number, family in enumerate(FAMILIES):
        if family.name not in ADDED and family.name not in ABLATED:
            continue
        model = build(family, root / f"family-{number}")
        if family.name in ADDED:
            figures.append(_difference(model, addition(model), family.name, "vector", root))
        if family.name in ABLATED:
            figures.append(_difference(model, ablation(model), family.name, "ablation", root))
    return figures


def _difference(model: Model, one: Intervention, family: str, what: str, root: Path) -> Figure:
    with tempfile.TemporaryDirectory(dir=root) as folder:
        baked(model, one).write(Path(folder))
        found = json.loads((Path(folder) / RECEIPT).read_text())["check"]
    how = (
        f"largest difference of a logit in float32 at {found['positions']} positions of a tiny "
        f"model; the steering moves one by up to {found['unsteered']:.3g}"
    )
    name = f"hook - baked, {what}, {family}"
    return Figure(name, found["max_difference"], None, None, "logit", "<= 0.0001", how)


def _times(root: Path) -> list[Figure]:
    """A vector too short to change a token, so that all three take the same steps."""
    model = load_model("world:base")
    samples = read(materialise("captions", root / "captions", n=_BATCH, seed=2))
    inputs = encode(model, list(samples))
    one = Intervention(build_vector(model.address.d, layer=3, length=0.05), scope="all")
    export(one, "baked", root / "baked", model=model)
    other = load_model(root / "baked")
    plain, ours = _decoding(model, inputs), _decoding(other, inputs)
    said = [generate(who, inputs, max_new_tokens=_TOKENS) for who in (model, other)]
    assert said[0] == said[1], "the three would not take the same steps"
    hooked = _decoding(model, inputs, lambda: steer(model, one))
    figures: list[Figure] = []
    for clock, unit in ((time.process_time, "CPU time"), (time.perf_counter, "wall time")):
        figures += [
            _ratio(f"baked / unsteered decoding, {unit}", plain, ours, clock, "<= 1.03"),
            _ratio(f"hooked / unsteered decoding, {unit}", plain, hooked, clock, ""),
        ]
    return figures


def _decoding(
    model: Model,
    inputs: Inputs,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Callable[[], None]:
    def run() -> None:
        with around():
            generate(model, inputs, max_new_tokens=_TOKENS)

    return run


def _ratio(
    name: str,
    plain: Callable[[], None],
    other: Callable[[], None],
    clock: Callable[[], float],
    goal: str,
) -> Figure:
    """Median of paired ratios; the plain run before and after each other one is the yardstick."""
    plain()
    other()
    ratios: list[float] = []
    for _ in range(_ROUNDS):
        before, between, after = (_seconds(run, clock) for run in (plain, other, plain))
        ratios.append(2 * between / (before + after))
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    interval = percentile(draws, float(np.median(ratios)))
    how = f"captions of {_BATCH} pictures; median of {_ROUNDS} ratios, each between two plain runs"
    return from_interval(name, interval, "ratio", goal, how)


def _seconds(run: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start
