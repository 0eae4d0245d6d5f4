"""The words of a response in order, and whether each state is of the kind concepts came from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from shiftlens.activations.selections.mean import Mean
from shiftlens.activations.selections.response import (
    EndResponse,
    FirstResponse,
    ReasoningTokens,
    Word,
)
from shiftlens.activations.selections.selection import (
    Alignment,
    Failed,
    Missed,
    PromptSelection,
    Said,
    Selection,
)
from shiftlens.activations.words.matching import (
    Match,
    find_matches,
    pieces,
    split_words,
)
from shiftlens.activations.words.occurrences import Occurrence
from shiftlens.activations.words.token_reach import reach_of
from shiftlens.data.sample import Sample
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response

Where = Literal["at the site", "same word", "outside"]
"""How a state relates to the states that concepts were learned from: one that their selection
takes; another occurrence of a word that it takes; anything else."""

_BROKEN = "\N{REPLACEMENT CHARACTER}"


def said_of(model: Model, response: Response) -> Said:
    """A response with what is needed to find words in it."""
    return Said(
        response.text,
        response.token_ids,
        response.truncated,
        partial(decode, model),
        response.reasoning,
    )


def words_of(said: Said, selection: Selection) -> list[Occurrence]:
    """Whole words of a response in order, each with its tokens; punctuation is no word.

    Scripts without spaces are cut as the model's own tokens cut them. Expressions that the
    selection names ("traffic light") are one word each. Reasoning is left out, unless the
    selection is about it.

    Args:
        said: the response.
        selection: where the concepts come from.

    Raises:
        DataError: the response is not what its tokens decode to.
    """
    reach = reach_of(said.text, said.token_ids, said.decode)
    named = find_matches(said.text, selection.wanted) if isinstance(selection, Word) else []
    spans = sorted(_spans(said.text, _apart(named), reach.ends))
    found: list[Occurrence] = []
    for start, end in spans:
        tokens = reach.covering(start, end)
        if tokens is not None and _belongs(tokens[0], said, selection):
            found.append(Occurrence(said.text[start:end], start, end, *tokens))
    return found


def is_cut(word: Occurrence, said: Said) -> bool:
    """Whether the token limit may have cut a word: it is the last thing that was said."""
    if not said.truncated:
        return False
    # Cut within a character: what stands before it may be the beginning of another word.
    edge = len(said.text.rstrip(_BROKEN)) if said.text.endswith(_BROKEN) else -1
    return word.last_token == len(said.token_ids) - 1 or word.end == edge


def alignment_of(selection: Selection) -> Alignment:
    """Whether a selection takes the state before a token, or the one that has read it."""
    if isinstance(selection, Mean):
        return alignment_of(selection.of)
    if isinstance(selection, FirstResponse | EndResponse):
        return "read"
    return getattr(selection, "alignment", "predict")


def position_of(word: Occurrence, alignment: Alignment) -> int:
    """Position of a word's state along the response; 0 is the last prompt position."""
    return word.first_token if alignment == "predict" else word.last_token + 1


class Sites:
    """Which positions of one response are of the kind that concepts were learned at.

    Args:
        selection: the concepts' own.
        said: the response.
    """

    def __init__(self, selection: Selection, said: Said) -> None:
        wanted = selection
        if isinstance(wanted, Word):  # there is no reference for what is asked just now
            wanted = replace(wanted, require_reference=False)
        self._taken = _positions(wanted, said)
        alike = replace(wanted, every=True, last=False) if isinstance(wanted, Word) else wanted
        self._alike = _positions(alike, said)

    def where(self, position: int) -> Where:
        """What a position is to the selection."""
        if position in self._taken:
            return "at the site"
        return "same word" if position in self._alike else "outside"


def _positions(selection: Selection, said: Said) -> frozenset[int]:
    """Where single states are taken: none for a selection in the prompt, or for a mean."""
    if isinstance(selection, PromptSelection | Mean):
        return frozenset()
    try:
        picks = selection.picks(Sample("", ""), said)
    except (Missed, Failed):
        return frozenset()
    return frozenset(one.positions[0] for one in picks)


def _belongs(first_token: int, said: Said, selection: Selection) -> bool:
    reasoning = first_token < said.reasoning
    if isinstance(selection, ReasoningTokens):
        return reasoning
    within = selection.within if isinstance(selection, Word) else "answer"
    return within == "response" or reasoning == (within == "reasoning")


def _apart(matches: Iterable[Match]) -> list[tuple[int, int]]:
    """Matches in order; of two that overlap the first."""
    kept: list[tuple[int, int]] = []
    for one in matches:
        if not kept or one.start >= kept[-1][1]:
            kept.append((one.start, one.end))
    return kept


def _spans(
    text: str, named: Sequence[tuple[int, int]], ends: Sequence[int]
) -> Iterator[tuple[int, int]]:
    yield from named
    for start, end in split_words(text):
        at = start
        for left, right in named:
            if left < end and right > at:
                yield from pieces(text, at, left, ends)
                at = right
        yield from pieces(text, at, end, ends)
