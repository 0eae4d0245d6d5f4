"""Which words the rows of a store are about.

A row is about a word in one of three ways. A state of every response token is about the word that
it emits, or has read. A state at one of several words says itself which. Any other state, one a
response, is about the words of the response that it leads to, or comes from.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from shiftlens.activations.selections.response import ReasoningTokens, ResponseTokens, Word
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.words.matching import is_unspaced, pieces, split_words
from shiftlens.activations.words.token_reach import Reach, reach_of
from shiftlens.concepts.grounding.whole_words import is_word, key_of, listed, without_particles


@dataclass(frozen=True)
class Said:
    """What the rows of a store are about.

    Attributes:
        unit: for each row, the unit that it belongs to: itself, or its response.
        words: words of each unit, by key, each once.
        spelling: how each word is listed.
    """

    unit: np.ndarray
    words: tuple[frozenset[str], ...]
    spelling: Mapping[str, str]


def said_in(store: ActivationStore, tokenizer: Any = None) -> Said:
    """What each row of a store is about.

    Args:
        store: harvested states.
        tokenizer: of the store's model. Without it words of scripts without spaces are not told
            apart, and states of every response token count for all words of their response.

    Raises:
        DataError: the tokenizer is not the one that the responses were decoded with.
    """
    tokens = store.site.tokens
    if isinstance(tokens, ResponseTokens | ReasoningTokens) and tokenizer is not None:
        forms = _by_position(store, tokenizer, predict=tokens.alignment == "predict")
        return _said(np.arange(len(forms)), forms)
    if isinstance(tokens, Word) and _tell_apart(store):
        return _said(np.arange(len(store)), [(row.word,) for row in store.rows])
    first: dict[str, int] = {}
    unit = np.array([first.setdefault(one, len(first)) for one in store.sample_ids], dtype=int)
    return _said(unit, [_by_response(store, one, tokenizer) for one in first])


def _said(unit: np.ndarray, forms: Sequence[Sequence[str]]) -> Said:
    """Forms of one word brought together: letter case, spelling, Korean particles."""
    written: Counter[str] = Counter(one for some in forms for one in some)
    words = without_particles({form: listed(form) for form in written})
    spelling: dict[str, str] = {}
    for form, _ in written.most_common():
        spelling.setdefault(key_of(words[form]), words[form])
    keys = tuple(frozenset(key_of(words[form]) for form in some) for some in forms)
    return Said(unit, keys, spelling)


def _tell_apart(store: ActivationStore) -> bool:
    """Whether rows of one sample are about different words."""
    said: dict[str, set[str]] = {}
    for row in store.rows:
        said.setdefault(row.sample_id, set()).add(row.word)
    return any(len(words) > 1 for words in said.values())


def _by_response(store: ActivationStore, sample: str, tokenizer: Any) -> tuple[str, ...]:
    text = store.responses[sample]
    ends: Sequence[int] = ()
    # Imported responses have no tokens; runs of scripts without spaces then count for nothing.
    if tokenizer is not None and store.token_ids[sample] and any(map(is_unspaced, text)):
        ends = _reach(store, sample, tokenizer).ends
    return tuple(text[start:end] for start, end in _words(text, ends))


def _by_position(store: ActivationStore, tokenizer: Any, *, predict: bool) -> list[tuple[str, ...]]:
    """The word that each row emits first, or has just read to its end; nothing inside of words."""
    at: dict[str, dict[int, str]] = {}
    for sample in dict.fromkeys(store.sample_ids):
        text, reach = store.responses[sample], _reach(store, sample, tokenizer)
        places = at.setdefault(sample, {})
        for start, end in _words(text, reach.ends):
            tokens = reach.covering(start, end)
            if tokens is not None:
                places.setdefault(tokens[0] if predict else tokens[1] + 1, text[start:end])
    found = [at[row.sample_id].get(row.position) for row in store.rows]
    return [() if one is None else (one,) for one in found]


def _reach(store: ActivationStore, sample: str, tokenizer: Any) -> Reach:
    # As responses themselves are decoded.
    decode = partial(tokenizer.decode, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return reach_of(store.responses[sample], store.token_ids[sample], decode)


def _words(text: str, ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Start and end of every word; scripts without spaces are cut where tokens end."""
    for start, stop in split_words(text):
        for a, b in pieces(text, start, stop, ends):
            if (ends or not is_unspaced(text[a])) and is_word(text[a:b]):
                yield a, b
