"""The fine-tune's style undone by subtracting its shift, beside switching the adapter off."""

from benchmarks.figures import Figure, share
from benchmarks.steering.counts import Effect
from benchmarks.steering.data import SPLITS, Bench
from benchmarks.steering.style import ACTIONS, vocabulary
from shiftlens.activations import tokens
from shiftlens.activations.site import Site
from shiftlens.steering.directions import mean_shift
from shiftlens.steering.intervening import Intervention
from shiftlens.steering.outcomes import says
from shiftlens.steering.scopes import words
from shiftlens.world.scenes import ANIMALS, PEOPLE, VEHICLES

SUBJECTS = (*PEOPLE, *ANIMALS, *VEHICLES)
"""Words before which the fine-tune puts the place ("a beach dog")."""


def measure(bench: Bench) -> list[Figure]:
    """Two shifts at strength -1, each taken and subtracted where the fine-tune decides."""
    undone = Effect(
        "undone: captions without the style",
        ">= .80",
        "captions of the tuned model that name no place any more, of those in which the base names "
        "none; mean shifts on the base's text, strength -1",
    )
    same: list[bool] = []
    off: list[bool] = []
    same_off: list[bool] = []
    for split in SPLITS:
        fit = bench.draw("captions", 400, 1010 + split)
        judge = bench.draw("captions", 350, 2010 + split)
        places = vocabulary(fit, "place")
        interventions = _interventions(bench, split)
        base, tuned = bench.ask(bench.base, judge), bench.ask(bench.tuned, judge)
        pairs = zip(base, tuned, strict=True)
        chosen = [
            i
            for i, (plain, styled) in enumerate(pairs)
            if says(styled, places) and not says(plain, places)
        ]
        samples = [judge[i] for i in chosen]
        after = bench.steer(bench.tuned, samples, interventions)
        controls = bench.controls(bench.tuned, samples, interventions)
        undone.add(
            [not says(text, places) for text in after],
            [[not says(text, places) for text in texts] for texts in controls],
        )
        same += [text == base[i] for i, text in zip(chosen, after, strict=True)]
        off += [not says(base[i], places) for i in chosen]
        same_off += [True for _ in chosen]
    return [
        *undone.figures(),
        share("undone: the base's caption word for word", same, "", "the same captions"),
        share("adapter off: captions without the style", off, "", "the same captions"),
    ]


def _interventions(bench: Bench, split: int) -> list[Intervention]:
    fit = bench.draw("captions", 400, 1010 + split)
    last = bench.base.address.n_layers - 1
    pair = [bench.base, bench.tuned]
    ends = bench.states(
        pair, fit, Site(last, tokens.word(*ACTIONS, alignment="read")), f"undo-ends-{split}"
    )
    begins = bench.states(pair, fit, Site(last - 1, tokens.word(*SUBJECTS)), f"undo-begins-{split}")
    return [
        Intervention(mean_shift(*ends), -1.0, words(*ACTIONS, where="response")),
        Intervention(mean_shift(*begins), -1.0),
    ]
