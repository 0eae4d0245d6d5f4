"""Captions that named no place name the right one, and keep what they said."""

from benchmarks.figures import Figure
from benchmarks.steering.counts import Effect
from benchmarks.steering.data import SPLITS, Bench
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.data.sample import Samples
from shiftlens.steering.directions import mean_difference
from shiftlens.steering.gates import AboutToSay
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.outcomes import says, words_of

ACTIONS = ("standing", "running", "sitting", "flying", "parked", "moving")
"""Words after which a caption either ends or goes on to name the place."""


def measure(bench: Bench) -> list[Figure]:
    """One vector of the base alone, added where it is about to end its caption."""
    right = Effect(
        "place named, right one",
        ">= .95",
        "captions that named no place and now name the right one; mean difference at the word "
        "where captions end or go on, last block, strength 1, gate: about to end",
    )
    kept = Effect(
        "place named, caption kept",
        ">= .97",
        "the same captions begin with every word that they had before, objects included",
    )
    subjects = Effect(
        "place named, right object kept",
        ">= .97",
        "captions that named the right object before and still do",
    )
    for split in SPLITS:
        fit = bench.draw("captions", 400, 1010 + split)
        judge = bench.draw("captions", 350, 2010 + split)
        places = vocabulary(fit, "place")
        site = Site(bench.base.address.layer(-1, ""), tokens.word(*ACTIONS, alignment="read"))
        store = bench.states([bench.base], fit, site, f"style-{split}")[0]
        vector = mean_difference(
            store,
            source=lambda row: not says(row.response, places),  # noqa: B023 - used at once
            target=lambda row: says(row.response, places),  # noqa: B023
            name="captions that name the place",
        )
        said = bench.ask(bench.base, judge)
        chosen = [i for i, text in enumerate(said) if not says(text, places)]
        samples, before = [judge[i] for i in chosen], [said[i] for i in chosen]
        one = [Intervention(vector, gate=AboutToSay.of(bench.base, or_to_end=True))]
        after = bench.steer(bench.base, samples, one)
        named = [
            [
                says(text, s.labels["allowed"]["place"])
                for s, text in zip(samples, texts, strict=True)
            ]
            for texts in (after, *bench.controls(bench.base, samples, one))
        ]
        right.add(named[0], named[1:])
        pairs = list(zip(samples, before, after, strict=True))
        kept.add([words_of(new)[: len(words_of(old))] == words_of(old) for _, old, new in pairs])
        subjects.add(
            [
                says(new, s.labels["allowed"]["subject"])
                for s, old, new in pairs
                if says(old, s.labels["allowed"]["subject"])
            ]
        )
    return [*right.figures(), *kept.figures(), *subjects.figures()]


def vocabulary(samples: Samples, factor: str) -> list[str]:
    """Every word that is right for a factor somewhere: what a user would list by hand."""
    return sorted({word for s in samples for word in s.labels["allowed"][factor]})
