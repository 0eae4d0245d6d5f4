"""Every way of making a direction: yes to no, ungated, and what it costs elsewhere."""

from benchmarks.figures import Figure
from benchmarks.steering.counts import Effect, Loss
from benchmarks.steering.data import SPLITS, Bench
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.data.sample import Samples
from shiftlens.steering.directions import answers
from shiftlens.steering.evaluating import direction_arms
from shiftlens.steering.evaluating.directions import WAYS
from shiftlens.steering.outcomes import moved


def measure(bench: Bench) -> list[Figure]:
    """At the last block, strength 1, fitted on the same rows; no goals: a comparison."""
    effects = {way: Effect(f"yes to no: {way}", "", "ungated, strength 1") for way in WAYS}
    losses = {way: Loss(f"yes to no: {way}: accuracy lost", "", "number and other") for way in WAYS}
    for split in SPLITS:
        judge = bench.draw("yesno", 300, 2000 + split)
        before = bench.ask(bench.base, judge)
        store = _states(bench, split)
        for arm in direction_arms(store, source=answers("yes"), target=answers("no")):
            after = bench.steer(bench.base, judge, arm.interventions)
            effects[arm.name].add(moved(before, after, "yes", "no"))
            for name in ("number", "other"):
                off = bench.draw(name, 250, 3000 + split)
                right = [str(sample.labels["answer"]) for sample in off]
                said = bench.steer(bench.base, off, arm.interventions)
                losses[arm.name].add(bench.ask(bench.base, off), said, right)
    return [figure for way in WAYS for figure in (*effects[way].figures(), losses[way].figure())]


def _states(bench: Bench, split: int) -> ActivationStore:
    """Yes and no, and other kinds of questions: the switch needs states that are neither."""
    fit = bench.draw("yesno", 400, 1000 + split)
    others = [s for name in ("number", "other") for s in bench.draw(name, 100, 1060 + split)]
    site = Site(bench.base.address.n_layers - 1, tokens.last_prompt())
    both = Samples([*fit, *others])
    return bench.states([bench.base], both, site, f"directions-{split}")[0]
