"""Whole words in a response, and the tokens that cover them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Scripts that write words without spaces: a word may touch its neighbours there.
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Occurrence:
    """One word in a response.

    Attributes:
        word: as it was asked for.
        start: first character in the response.
        end: one behind the last.
        first_token: index of the first token that covers it.
        last_token: index of the last one.
    """

    word: str
    start: int
    end: int
    first_token: int
    last_token: int


def word_spans(text: str, words: Sequence[str]) -> list[tuple[int, int, str]]:
    """Start, end and word of every whole occurrence, in order; letter case is ignored."""
    spans: list[tuple[int, int, str]] = []
    for word in words:
        left = "" if _UNSPACED.match(word[0]) else r"(?<!\w)"
        right = "" if _UNSPACED.match(word[-1]) else r"(?!\w)"
        pattern = re.compile(left + re.escape(word) + right, re.IGNORECASE)
        spans += [(match.start(), match.end(), word) for match in pattern.finditer(text)]
    return sorted(spans)


def find_words(
    text: str,
    token_ids: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    words: Sequence[str],
) -> list[Occurrence]:
    """Occurrences of words with the tokens that cover them.

    Characters are assigned to tokens by decoding growing prefixes of the very ids that were
    generated: tokenising the text again could cut it differently.

    Args:
        text: the decoded response.
        token_ids: its tokens.
        decode: from ids to text.
        words: what to look for.
    """
    spans = word_spans(text, words)
    if not spans:
        return []
    ends = _token_ends(text, token_ids, decode)
    found: list[Occurrence] = []
    for start, end, word in spans:
        first = next((i for i, reached in enumerate(ends) if reached > start), None)
        last = next((i for i, reached in enumerate(ends) if reached >= end), None)
        if first is not None and last is not None:
            found.append(Occurrence(word, start, end, first, last))
    return found


def _token_ends(
    text: str, token_ids: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> list[int]:
    """How far into the text each token reaches.

    Only what a prefix shares with the whole counts: an unfinished character decodes to a
    replacement mark that the finished text does not hold.
    """
    ends: list[int] = []
    for count in range(1, len(token_ids) + 1):
        shared = _shared_length(decode(token_ids[:count]), text)
        ends.append(max(shared, ends[-1] if ends else 0))
    return ends


def _shared_length(left: str, right: str) -> int:
    """How many characters two texts begin with in common."""
    differing = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differing, min(len(left), len(right)))
