"""Gendered words become neutral where nothing shows a gender, and stay where something does."""

from benchmarks.figures import Figure
from benchmarks.steering.counts import Effect
from benchmarks.steering.data import SPLITS, Bench
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore, Row
from shiftlens.data.sample import Samples
from shiftlens.steering.directions import mean_difference
from shiftlens.steering.gates import LDA, AboutToSay
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.outcomes import neutralised, rest_unchanged, says

SWAPS = {"woman": "person", "man": "person"}
GATE_LAYER = 4
LABELLED = 100
"""Captions of each kind, gender evident or not, that a user labels by looking at the picture."""


def measure(bench: Bench) -> list[Figure]:
    """One vector a word, added where that word is about to be said and no gender shows."""
    done = Effect(
        "gender neutralised",
        ">= .95",
        "captions that called an adult without any gender cue woman or man, and now person",
    )
    rest = Effect("gender: rest of the caption unchanged", "", "word for word, among those")
    evident = Effect(
        "gender: evident ones changed",
        "<= .05",
        "captions that call an evident woman or man so, and no longer do",
    )
    for split in SPLITS:
        interventions = _interventions(bench, split)
        judge = bench.draw("ambiguous", 300, 2020 + split)
        said = bench.ask(bench.base, judge)
        chosen = [i for i, text in enumerate(said) if says(text, SWAPS)]
        samples, before = [judge[i] for i in chosen], [said[i] for i in chosen]
        after = bench.steer(bench.base, samples, interventions)
        flags = [neutralised(text, SWAPS) for text in after]
        controls = bench.controls(bench.base, samples, interventions)
        done.add(flags, [[neutralised(text, SWAPS) for text in texts] for texts in controls])
        rest.add(
            [
                rest_unchanged(old, new, SWAPS)
                for old, new, flag in zip(before, after, flags, strict=True)
                if flag
            ]
        )
        people = bench.draw("people", 1200, 2030 + split)
        said = bench.ask(bench.base, people)
        sure = [i for i, text in enumerate(said) if says(text, [people[i].labels["subject"]])
                and people[i].labels["subject"] in SWAPS]  # fmt: skip
        shown = [people[i] for i in sure]
        new = bench.steer(bench.base, shown, interventions)
        evident.add([text != said[i] for i, text in zip(sure, new, strict=True)])
    return [*done.figures(), *rest.figures(), *evident.figures()]


def _interventions(bench: Bench, split: int) -> list[Intervention]:
    """Both guarded by what is about to be said, and by a probe of whether a gender shows."""
    last = bench.base.address.layer(-1, "")
    ambiguous = bench.draw("ambiguous", 300, 1020 + split)
    site = Site(last, tokens.word(*SWAPS, *SWAPS.values()))
    store = bench.states([bench.base], ambiguous, site, f"gender-{split}")[0]
    people = bench.draw("people", 1200, 1030 + split).where(lambda s: s.labels["subject"] in SWAPS)
    both = Samples([*ambiguous, *people])
    at = Site(GATE_LAYER, tokens.word(*SWAPS))
    shown = _labelled(bench.states([bench.base], both, at, f"gender-gate-{split}")[0])
    unclear = LDA.fit(shown, lambda row: not _evident(row)).at_every_step()
    return [
        Intervention(
            mean_difference(
                store,
                source=lambda row, said=gendered: row.word == said,
                target=lambda row, said=neutral: row.word == said,
                name=f"{gendered} to {neutral}",
            ),
            gate=AboutToSay.of(bench.base, gendered) & unclear,
        )
        for gendered, neutral in SWAPS.items()
    ]


def _labelled(store: ActivationStore) -> ActivationStore:
    """The first rows of each kind: as many as a person would label."""
    left = {True: LABELLED, False: LABELLED}
    kept: list[bool] = []
    for row in store.rows:
        left[_evident(row)] -= 1
        kept.append(left[_evident(row)] >= 0)
    return store.where(kept)


def _evident(row: Row) -> bool:
    return row.labels["subject"] in SWAPS
