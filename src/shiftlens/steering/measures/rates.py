"""How sure the cells of a transition table are: shares of a row, with intervals."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from shiftlens.core.intervals import wilson_grouped
from shiftlens.data.sample import Sample
from shiftlens.steering.measures.vqa import named

Rates = dict[str, dict[str, Any]]
"""For each outcome before: ``n``, ``after`` (intervals by outcome) and ``none``, that of others."""


def row_rates(before: Sequence[str], after: Sequence[str], groups: Sequence[Hashable]) -> Rates:
    """Of the samples with an outcome before, the share that has each outcome after.

    Intervals are Wilson's, each for one cell given its row: with how many samples begin in a row
    they have nothing to do, and two cells of one row are not independent.

    Args:
        before: the outcome of each sample without steering, by the name of its row.
        after: the outcome of the same sample, by the name of its column.
        groups: for each sample what it shares with others that depend on it, such as a picture.

    Returns:
        rows in the order of the samples; ``none`` is the interval of every cell without a sample.
    """
    found: Rates = {}
    for row in dict.fromkeys(before):
        places = [place for place, was in enumerate(before) if was == row]
        shared = [groups[place] for place in places]
        said = [after[place] for place in places]
        found[row] = {
            "n": len(places),
            "after": {
                one: wilson_grouped([now == one for now in said], shared).to_dict()
                for one, _ in Counter(said).most_common()
            },
            "none": wilson_grouped([False] * len(places), shared).to_dict(),
        }
    return found


def rates_by_kind(
    kinds: Sequence[str],
    before: Sequence[str],
    after: Sequence[str],
    samples: Sequence[Sample],
    *,
    answers: int | None = None,
) -> dict[str, Rates]:
    """``row_rates`` of each kind of sample; samples of one picture depend on each other.

    Args:
        kinds: of each sample.
        before: the outcome of each without steering.
        after: its outcome with it.
        samples: what was asked.
        answers: with whole answers in place of outcomes, how many of each kind have a row.
    """
    found: dict[str, Rates] = {}
    for kind in dict.fromkeys(kinds):
        places = [place for place, one in enumerate(kinds) if one == kind]
        old, new = ([texts[place] for place in places] for texts in (before, after))
        if answers is not None:
            old, new = named(old, new, top=answers)
        groups = [samples[place].images or samples[place].id for place in places]
        found[kind] = row_rates(old, new, groups)
    return found
