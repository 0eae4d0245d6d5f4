"""From yes to no, other kinds of questions left alone."""

from benchmarks.figures import Figure
from benchmarks.steering.counts import Effect, Loss
from benchmarks.steering.data import SPLITS, Bench
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.steering.directions import answers, mean_difference
from shiftlens.steering.gates import AboutToSay
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.outcomes import moved

LAYER = -1


def measure(bench: Bench) -> list[Figure]:
    """Added everywhere, and only where the model is about to say yes."""
    ways = ("added everywhere", "gated")
    effects = {
        way: Effect(
            f"yes to no, {way}",
            ">= .90" if way == "gated" else "",
            "answers that were yes and became no; last block, strength 1",
        )
        for way in ways
    }
    losses = {
        way: Loss(
            f"yes to no, {way}: accuracy lost on number and other",
            "<= .01" if way == "gated" else "",
            "accuracy before minus after",
        )
        for way in ways
    }
    for split in SPLITS:
        fit, judge = bench.draw("yesno", 400, 1000 + split), bench.draw("yesno", 300, 2000 + split)
        site = Site(bench.base.address.layer(LAYER, ""), tokens.last_prompt())
        store = bench.states([bench.base], fit, site, f"answers-{split}")[0]
        vector = mean_difference(
            store, source=answers("yes"), target=answers("no"), name="yes to no"
        )
        interventions = {
            "added everywhere": Intervention(vector),
            "gated": Intervention(vector, gate=AboutToSay.of(bench.base, "yes", layer=LAYER)),
        }
        before = bench.ask(bench.base, judge)
        for way in ways:
            one = [interventions[way]]
            after = bench.steer(bench.base, judge, one)
            controls = [
                moved(before, said, "yes", "no") for said in bench.controls(bench.base, judge, one)
            ]
            effects[way].add(moved(before, after, "yes", "no"), controls)
            for name in ("number", "other"):
                off = bench.draw(name, 250, 3000 + split)
                right = [str(sample.labels["answer"]) for sample in off]
                said = bench.steer(bench.base, off, one)
                losses[way].add(bench.ask(bench.base, off), said, right)
    return [figure for way in ways for figure in (*effects[way].figures(), losses[way].figure())]
