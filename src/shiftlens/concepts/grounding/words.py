"""Words of a concept, read through the model's own final norm and unembedding.

A vector that is a state is read as it stands: the top tokens of head(final_norm(u)). A direction is
read around the mean state mu: the tokens that rise most in head(final_norm(mu + u)) against
head(final_norm(mu)) (Parekh et al. 2024, section 3.3; the norm and the mean are ours).
"""

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.site import Site
from shiftlens.concepts.concepts import WordLists
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Vectors
from shiftlens.models.readout import Readout

Scores = Float[Tensor, "k v"]


def reading(readout: Readout, site: Site) -> Readout:
    """The readout for states of a site: without the norm where they have been through it."""
    return replace(readout, norm=None) if site.normed else readout


def state_scores(readout: Readout, states: Vectors) -> Scores:
    """Log-probability of every token after each state: (k, v)."""
    return torch.log_softmax(readout.logits(states).float(), dim=-1)


def direction_scores(readout: Readout, directions: Vectors, mean: Float[Tensor, " d"]) -> Scores:
    """Rise of every token's logit when a direction is added to the mean state: (k, v)."""
    origin = readout.logits(mean[None].float())
    return readout.logits(mean + directions.float()) - origin


def contrast(scores: Scores) -> Scores:
    """Each token's score minus its mean over the concepts: what this one says more than others."""
    return scores - scores.mean(dim=0)


def top_words(
    readout: Readout, scores: Scores, *, n: int = 15, stop_words: Collection[str] = ()
) -> WordLists:
    """The n best words of each row of scores, best first.

    Kept are tokens that begin a word and are alphabetic in any script; they are lower-cased and
    named once; stop words are left out.

    Args:
        readout: whose tokenizer names the tokens.
        scores: (k, v).
        n: how many words a concept.
        stop_words: lower-cased words to leave out.

    Raises:
        GroundingError: the vocabulary has no token that can stand as a word, or n is below 1.
    """
    if n < 1:
        raise GroundingError(f"cannot list {n} words", allowed="n from 1 up")
    names = word_tokens(readout.tokenizer)
    if not names:
        raise GroundingError("no token of this vocabulary can stand as a word")
    ids = torch.tensor(sorted(names), device=scores.device)
    order = scores[:, ids].argsort(dim=1, descending=True).tolist()
    numbers = ids.tolist()
    return tuple(
        _first_distinct((names[numbers[i]] for i in row), n, frozenset(stop_words)) for row in order
    )


def _first_distinct(words: Any, n: int, stop_words: frozenset[str]) -> tuple[str, ...]:
    kept: dict[str, None] = {}
    for word in words:
        if word not in stop_words:
            kept.setdefault(word)
        if len(kept) == n:
            break
    return tuple(kept)


@lru_cache(maxsize=8)
def word_tokens(tokenizer: Any) -> dict[int, str]:
    """Tokens that begin a word and are alphabetic, by id, lower-cased.

    The rule works for any tokenizer: decoded after an anchor word, a token that begins a word
    leaves the anchor standing alone. No table of marks such as G-dots or underlines is needed.
    """
    anchor = tokenizer.encode("the", add_special_tokens=False)
    alone = tokenizer.decode(anchor)
    special = set(tokenizer.all_special_ids)
    words: dict[int, str] = {}
    for number in range(len(tokenizer)):
        if number in special:
            continue
        text = tokenizer.decode([*anchor, number])
        rest = text[len(alone) :] if text.startswith(alone) else ""
        # Scripts without spaces between words have no boundary to show: their tokens are words.
        begins = rest[:1].isspace() or _is_unspaced(rest)
        word = rest.strip().lower()
        if begins and word.isalpha():
            words[number] = word
    return words


def _is_unspaced(text: str) -> bool:
    """Whether the text is in a script that writes words without spaces (Han, kana, Thai, Lao)."""
    ranges = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0x0E00, 0x0EFF), (0x20000, 0x3FFFF))
    return bool(text) and all(any(lo <= ord(c) <= hi for lo, hi in ranges) for c in text)
