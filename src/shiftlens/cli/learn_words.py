"""Words of concepts that are only tried: what the overlap of a k is measured by."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from shiftlens.activations.store import ActivationStore
    from shiftlens.concepts.concepts import WordLists
    from shiftlens.concepts.learners.learner import Learned
    from shiftlens.concepts.trying import WordsOf
    from shiftlens.models.readout import Readout


def plain_words(
    readout: "Readout",
    states: "ActivationStore",
    layer: int,
    *,
    n: int,
    stop_words: "Collection[str]",
) -> "WordsOf":
    """What gives concepts the plain words that ``ground`` lists, without its other lists.

    Args:
        readout: of the states' own model.
        states: the store; directions are read around the mean of its states.
        layer: which of its layers.
        n: words of a concept.
        stop_words: that are never listed.
    """
    from shiftlens.concepts.grounding.ground import mean_state
    from shiftlens.concepts.grounding.whole_words import Lexicon
    from shiftlens.concepts.grounding.words import (
        Choice,
        direction_scores,
        in_parts,
        reading,
        state_scores,
    )
    from shiftlens.concepts.rows import StoreRows

    head = reading(readout, states.site_at(layer))
    lexicon = Lexicon.of(states.responses.values())
    choice = Choice.of(head, stop_words=stop_words, lexicon=lexicon)
    mean = mean_state(StoreRows(states, layer))

    def words(learned: "Learned") -> "WordLists":
        found: list[tuple[str, ...]] = []
        for part in in_parts(learned.vectors, len(head.tokenizer)):
            is_state = learned.kind == "centroid"
            scores = state_scores(head, part) if is_state else direction_scores(head, part, mean)
            found += choice.top(scores, n)
        return tuple(found)

    return words
