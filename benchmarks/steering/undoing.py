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
    everywhere: dict[str, list[bool]] = {"undone": [], "adapter off": []}
    for split in SPLITS:
        fit = bench.draw("captions", 400, 1010 + split)
        judge = bench.draw("captions", 350, 2010 + split)
        places = vocabulary(fit, "place")
        interventions = _interventions(bench, split)
        base, tuned = bench.ask(bench.base, judge), bench.ask(bench.tuned, judge)
        styled = [i for i, text in enumerate(tuned) if says(text, places)]
        after = bench.steer(bench.tuned, [judge[i] for i in styled], interventions)
        pairs = dict(zip(styled, after, strict=True))
        everywhere["undone"] += [not says(text, places) for text in after]
        everywhere["adapter off"] += [not says(base[i], places) for i in styled]
        # The base names the place in some captions too: there the style is not the adapter's.
        chosen = [i for i in styled if not says(base[i], places)]
        controls = bench.controls(bench.tuned, [judge[i] for i in chosen], interventions)
        undone.add(
            [not says(pairs[i], places) for i in chosen],
            [[not says(text, places) for text in texts] for texts in controls],
        )
        same += [pairs[i] == base[i] for i in chosen]
    how = "every caption that the tuned model gives the style"
    return [
        *undone.figures(),
        share("undone: the base's caption word for word", same, "", "the same captions"),
        share("undone, of all: without the style", everywhere["undone"], "", how),
        share(
            "adapter off, of all: captions without the style", everywhere["adapter off"], "", how
        ),
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
