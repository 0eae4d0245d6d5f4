"""Whole words in a response, and the tokens that cover them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shiftlens.activations.words.matching import Words, find_matches
from shiftlens.activations.words.token_reach import reach_of


@dataclass(frozen=True)
class Occurrence:
    """One word in a response.

    Attributes:
        word: what is said, in the name under which it was asked for.
        start: first character in the response.
        end: one behind the last.
        first_token: index of the first token that covers it.
        last_token: index of the last one.
        form: the form of the word that was found, as it was asked for; the word itself where no
            other forms were given.
    """

    word: str
    start: int
    end: int
    first_token: int
    last_token: int
    form: str = ""


def word_spans(text: str, words: Words) -> list[tuple[int, int, str]]:
    """Start, end and word of every whole occurrence, in order; letter case is ignored.

    Args:
        text: where to look.
        words: what to look for, see ``find_words``.

    Raises:
        DataError: a form is blank, or stands for two words.
    """
    return [(one.start, one.end, one.word) for one in find_matches(text, words)]


def find_words(
    text: str,
    token_ids: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    words: Words,
) -> list[Occurrence]:
    """Occurrences of words with the tokens that cover them, in order.

    Offsets are those of the text as it is, whatever letter case or Unicode form the words were
    given in. They are laid over the tokens that were generated, never over a tokenization of the
    text: tokenizing again could cut it differently.

    Args:
        text: the decoded response.
        token_ids: its tokens.
        decode: from ids to text, as the text itself was decoded.
        words: what to look for: words, expressions of several words, or each word with its other
            forms, ``{"dog": ("dogs", "puppy")}``.

    Raises:
        DataError: the tokens decode to another text, a form is blank, or it stands for two words.
    """
    matches = find_matches(text, words)
    if not matches:
        return []
    reach = reach_of(text, token_ids, decode)
    found: list[Occurrence] = []
    for one in matches:
        tokens = reach.covering(one.start, one.end)
        if tokens is not None:
            found.append(Occurrence(one.word, one.start, one.end, *tokens, one.form))
    return found
