"""Where a response stops thinking and answers: reasoning segments, in the marks of any family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# What the names of the marks have in common, in every family that thinks in its response.
_STEMS = ("think", "thought", "reason")
_CLOSING = ("/", "end", "close")


@dataclass(frozen=True)
class ReasoningMarks:
    """Tokens that begin and end a reasoning segment; both are empty for most models.

    Attributes:
        opening: ids of tokens such as ``<think>``.
        closing: ids of tokens such as ``</think>``.
    """

    opening: frozenset[int] = frozenset()
    closing: frozenset[int] = frozenset()

    @staticmethod
    def of(tokenizer: Any) -> "ReasoningMarks":
        """The marks among the tokens that were added to a tokenizer's vocabulary."""
        opening: set[int] = set()
        closing: set[int] = set()
        for text, token in tokenizer.get_added_vocab().items():
            plain = text.lower()
            if plain[:1] in "<[◁" and any(stem in plain for stem in _STEMS):
                ends = any(mark in plain for mark in _CLOSING)
                (closing if ends else opening).add(token)
        # A pair, or nothing: a lone token of such a name marks something else.
        if not opening or not closing:
            return ReasoningMarks()
        return ReasoningMarks(frozenset(opening), frozenset(closing))

    def length(self, prompt_ids: Sequence[int], token_ids: Sequence[int]) -> int:
        """How many of a response's first tokens are reasoning, the closing mark included.

        Args:
            prompt_ids: of the prompt, whose template may have opened the segment.
            token_ids: of the response.

        Returns:
            0 where nothing was opened; all of them where a segment was never closed.
        """
        if not self.opening:
            return 0
        last = next((t for t in reversed(prompt_ids) if t in self.opening | self.closing), None)
        opened = last in self.opening
        first = next((at for at, t in enumerate(token_ids) if t in self.opening), None)
        closed = [at for at, t in enumerate(token_ids) if t in self.closing]
        if not opened and first is None:
            return 0
        return closed[-1] + 1 if closed else len(token_ids)
