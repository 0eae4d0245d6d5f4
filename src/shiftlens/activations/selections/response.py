"""Selections in the response, and at the position that emits its first token."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from shiftlens.activations.selections.selection import (
    Alignment,
    Failed,
    Missed,
    Pick,
    Said,
    Selection,
)
from shiftlens.activations.words.occurrences import Occurrence, find_words, word_spans
from shiftlens.data.sample import Sample

Within = Literal["answer", "reasoning", "response"]
_BROKEN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class Word(Selection):
    """Where a word is said; see ``shiftlens.tokens.word``.

    Attributes:
        words: any of them counts.
        alignment: the state from which the word is emitted, or the one that has read it.
        every: all occurrences, not only one.
        require_reference: only samples whose reference says a word too.
        last: the last occurrence in place of the first.
        within: the answer, the reasoning before it, or both.
        forms: other forms of some words, each with the word first.
    """

    kind: ClassVar[str] = "word"
    words: tuple[str, ...]
    alignment: Alignment = "predict"
    every: bool = False
    require_reference: bool = False
    last: bool = False
    within: Within = "answer"
    forms: tuple[tuple[str, ...], ...] = ()

    @property
    def wanted(self) -> Mapping[str, tuple[str, ...]]:
        """Each word with its other forms."""
        known = {one[0]: one[1:] for one in self.forms}
        return {word: known.get(word, ()) for word in self.words}

    def picks(self, sample: Sample, said: Said) -> list[Pick]:
        """One occurrence, or every one."""
        if self.require_reference and not self._in_reference(sample):
            raise Missed
        found = [
            one
            for one in find_words(said.text, said.token_ids, said.decode, self.wanted)
            if self._belongs(one, said)
        ]
        last = len(said.token_ids) - 1
        # Cut within a character: what stands before it may be the beginning of another word.
        broken = said.truncated and said.text.endswith(_BROKEN)
        edge = len(said.text.rstrip(_BROKEN)) if broken else -1
        whole = [
            one
            for one in found
            if not (said.truncated and (one.last_token == last or one.end == edge))
        ]
        if not whole:
            raise Failed if found or self._unreached(said) else Missed
        kept = whole if self.every else whole[-1:] if self.last else whole[:1]
        return [Pick((self._position(one),), one.word) for one in kept]

    def describe(self) -> dict[str, Any]:
        """As JSON; what is as it always was is left out, so that earlier stores are the same."""
        told = super().describe()
        newer = ("last", "within", "forms")
        defaults = {one.name: one.default for one in fields(self)}
        told["forms"] = [list(one) for one in self.forms]
        return {
            key: value
            for key, value in told.items()
            if key not in newer or getattr(self, key) != defaults[key]
        }

    def _position(self, found: Occurrence) -> int:
        return found.first_token if self.alignment == "predict" else found.last_token + 1

    def _belongs(self, found: Occurrence, said: Said) -> bool:
        if self.within == "response":
            return True
        return (found.first_token >= said.reasoning) == (self.within == "answer")

    def _unreached(self, said: Said) -> bool:
        """Whether the limit came while the model still reasoned, and no answer was given."""
        thinking = bool(said.reasoning) and said.reasoning == len(said.token_ids)
        return self.within == "answer" and said.truncated and thinking

    def _in_reference(self, sample: Sample) -> bool:
        return bool(sample.response and word_spans(sample.response, self.wanted))


@dataclass(frozen=True)
class LastPrompt(Selection):
    """The last prompt position: the state that emits the first response token."""

    kind: ClassVar[str] = "last prompt"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """Always one."""
        return [Pick((0,))]


@dataclass(frozen=True)
class FirstResponse(Selection):
    """The position of the first response token, once it has been read."""

    kind: ClassVar[str] = "first response"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the response is empty."""
        if not said.token_ids:
            raise Missed
        if said.truncated and len(said.token_ids) == 1:
            raise Failed  # the only token was emitted, and never read
        return [Pick((1,))]


@dataclass(frozen=True)
class EndResponse(Selection):
    """The position of the last response token, once it has been read: it emits the end."""

    kind: ClassVar[str] = "end of response"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One, unless the response was cut off."""
        if said.truncated:
            raise Failed  # its last token was emitted, and never read
        return [Pick((len(said.token_ids),))]


@dataclass(frozen=True)
class ResponseTokens(Selection):
    """Every token of the answer, the reasoning before it left out; one state a token."""

    kind: ClassVar[str] = "response"
    alignment: Alignment = "predict"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One a token."""
        return _each(said, said.reasoning, len(said.token_ids), self.alignment)


@dataclass(frozen=True)
class ReasoningTokens(Selection):
    """Every token of the reasoning before the answer, its marks included; one state a token."""

    kind: ClassVar[str] = "reasoning"
    alignment: Alignment = "predict"

    def picks(self, sample: Sample, said: Said) -> list[Pick]:  # noqa: ARG002
        """One a token."""
        return _each(said, 0, said.reasoning, self.alignment)


def _each(said: Said, start: int, stop: int, alignment: Alignment) -> list[Pick]:
    """States of a run of response tokens; the last one of a cut response was never read."""
    if start >= stop:
        raise Missed
    if alignment == "predict":
        return [Pick((at,)) for at in range(start, stop)]
    unread = said.truncated and stop == len(said.token_ids)
    if unread and stop - start == 1:
        raise Failed
    return [Pick((at + 1,)) for at in range(start, stop - unread)]
