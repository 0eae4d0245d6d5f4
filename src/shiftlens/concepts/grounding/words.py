"""Words of a concept, read through the model's own final norm and unembedding.

A vector that is a state is read as it stands: the top tokens of head(final_norm(u)). A direction is
read around the mean state mu: the tokens that rise most in head(final_norm(mu + u)) against
head(final_norm(mu)) (Parekh et al. 2024, section 3.3; the norm and the mean are ours).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.activations.site import Site
from shiftlens.activations.words.stop_words import stop_words_of
from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.grounding.whole_words import Lexicon, Vocabulary, key_of, vocabulary_of
from shiftlens.core.errors import GroundingError
from shiftlens.core.shapes import Vectors
from shiftlens.models.readout import Readout

Scores = Float[Tensor, "k v"]

_VALUES = 2**26  # scores held at once: 256 MB
_KEPT = "vocabulary"  # beside the fingerprint, among what a readout remembers of itself
_MORE = 4  # candidates a word that are looked at before looking further


def reading(readout: Readout, site: Site) -> Readout:
    """The readout for states of a site: without the norm where they have been through it."""
    if not site.normed:
        return readout
    copy = replace(readout, norm=None)
    vars(copy)[_KEPT] = words_of(readout)
    return copy


def words_of(readout: Readout) -> Vocabulary:
    """Which tokens of a readout begin words; made once, and remembered with the readout.

    Making it takes some .4 s for 150,000 tokens.
    """
    kept = vars(readout)
    if _KEPT not in kept:
        kept[_KEPT] = vocabulary_of(readout.tokenizer)
    return kept[_KEPT]


def word_tokens(tokenizer: Any) -> dict[int, str]:
    """Tokens that can stand as a word, by id, lower-cased; see ``whole_words.Vocabulary``."""
    found = vocabulary_of(tokenizer)
    return {number: word for number, word in zip(found.ids, found.alone, strict=True) if word}


def state_scores(readout: Readout, states: Vectors) -> Scores:
    """Log-probability of every token after each state: (k, v)."""
    return torch.log_softmax(readout.logits(states).float(), dim=-1)


def direction_scores(readout: Readout, directions: Vectors, mean: Float[Tensor, " d"]) -> Scores:
    """Rise of every token's logit when a direction is added to the mean state: (k, v)."""
    origin = readout.logits(mean[None].float())
    return readout.logits(mean + directions.float()) - origin


def contrast(scores: Scores, mean: Float[Tensor, " v"] | None = None) -> Scores:
    """Each token's score minus its mean: what this concept says more than others.

    Args:
        scores: (k, v).
        mean: over what else; over these concepts unless given.
    """
    return scores - (scores.mean(dim=0) if mean is None else mean.to(scores.device))


def top_words(
    readout: Readout,
    scores: Scores,
    *,
    n: int = 15,
    stop_words: Collection[str] = (),
    words: Collection[str] | None = None,
    lexicon: Lexicon | None = None,
) -> WordLists:
    """The n best words of each row of scores, best first, each named once.

    Args:
        readout: whose tokenizer names the tokens.
        scores: (k, v).
        n: how many words a concept.
        stop_words: words to leave out; or codes of languages ("en", "en de"), whose words of
            grammar are left out.
        words: only these, see ``Choice.of``.
        lexicon: words of texts, which tell whole words from pieces.

    Raises:
        GroundingError: nothing can be listed, see ``Choice.of``; n is below 1; a score is not a
            number.
    """
    if n < 1:
        raise GroundingError(f"cannot list {n} words", allowed="n from 1 up")
    return Choice.of(readout, stop_words=stop_words, words=words, lexicon=lexicon).top(scores, n)


@dataclass(frozen=True, eq=False)
class Choice:
    """Which tokens may be listed, and the word that each stands for.

    Attributes:
        ids: (m,) numbers of the tokens.
        words: m words; several tokens may stand for one.
    """

    ids: Int[Tensor, " m"]
    words: tuple[str, ...]

    @classmethod
    def of(
        cls,
        readout: Readout,
        *,
        stop_words: Collection[str] = (),
        words: Collection[str] | None = None,
        lexicon: Lexicon | None = None,
    ) -> "Choice":
        """Tokens that stand for words.

        Without ``words`` these are the vocabulary's whole words, and the pieces that the texts
        complete. With ``words`` they are the first tokens of these: a head reads one token from a
        state, and what comes behind it depends on that token. So words that begin with the same
        token are told apart by nothing; they are one entry, "surfer/surfing".

        Args:
            readout: whose tokenizer names the tokens.
            stop_words: words to leave out, or codes of languages.
            words: only these.
            lexicon: words of texts.

        Raises:
            GroundingError: the vocabulary has no token that can stand as a word, ``words`` are
                empty or cannot be said, or the stop words leave nothing.
        """
        known = words_of(readout)
        ids, said = (known.ids, known.words(lexicon)) if words is None else _asked(known, words)
        if not any(said):
            raise GroundingError("no token of this vocabulary can stand as a word")
        silent = stopped(stop_words)
        left = [bool(one) and not (silent and key_of(one) in silent) for one in said]
        if not any(left):
            raise GroundingError(
                f"the stop words leave none of {len(set(filter(None, said)))} words",
                remedy="give fewer stop words",
            )
        return cls(torch.tensor(list(compress(ids, left))), tuple(compress(said, left)))

    def top(self, scores: Scores, n: int) -> WordLists:
        """The n best words of each row of scores (k, v), best first; fewer where there are fewer.

        Raises:
            GroundingError: a score is not a number.
        """
        # A head may be narrower than its tokenizer: added tokens have no column.
        inside = self.ids < scores.shape[1]
        places: Sequence[int] = (
            range(len(inside)) if bool(inside.all()) else inside.nonzero()[:, 0].tolist()
        )
        mine = scores[:, self.ids[inside].to(scores.device)]
        m = min(len(places), _MORE * n)
        best = mine.topk(m, dim=1)
        if not bool(torch.isfinite(best.values).all()):
            raise GroundingError(
                "scores of words are not finite",
                remedy="look at the vectors and the model's head for values that are not numbers",
            )
        lists: list[tuple[str, ...]] = []
        for row, order in enumerate(best.indices.tolist()):
            found = self._distinct(order, places, n)
            if len(found) < n and m < len(places):  # many spellings of few words came first
                whole = mine[row].argsort(descending=True).tolist()
                found = self._distinct(whole, places, n)
            lists.append(found)
        return tuple(lists)

    def _distinct(self, order: Iterable[int], places: Sequence[int], n: int) -> tuple[str, ...]:
        kept: dict[str, str] = {}
        for at in order:
            word = self.words[places[at]]
            kept.setdefault(word if word.isascii() else key_of(word), word)
            if len(kept) == n:
                break
        return tuple(kept.values())


def stopped(stop_words: Collection[str]) -> frozenset[str]:
    """Keys of the words that are never listed.

    Args:
        stop_words: the words, or codes of languages ("en de") for their words of grammar.

    Raises:
        DataError: a language without a table.
    """
    if not isinstance(stop_words, str):
        return frozenset(key_of(one) for one in stop_words)
    codes = stop_words.replace(",", " ").split()
    return stop_words_of(*codes) if codes else frozenset()


def random_words(
    readout: Readout,
    k: int,
    n: int,
    *,
    mean: Float[Tensor, " d"],
    norm: float | None = None,
    seed: int = 0,
    stop_words: Collection[str] = (),
    words: Collection[str] | None = None,
    lexicon: Lexicon | None = None,
) -> WordLists:
    """Words of random directions: what lists look like that mean nothing.

    Args:
        readout: of the model; see ``reading`` for states behind its norm.
        k: how many directions.
        n: words a direction.
        mean: (d,) the mean state, around which directions are read.
        norm: length of the directions: that of the concepts, or of their distance to the mean; the
            length of the mean itself unless given.
        seed: of the directions.
        stop_words: see ``top_words``.
        words: see ``top_words``.
        lexicon: see ``top_words``.

    Raises:
        GroundingError: see ``top_words``; k is below 1, or the length is not a positive number.
    """
    length = float(mean.norm()) if norm is None else norm
    if k < 1 or not 0 < length < float("inf"):
        raise GroundingError(
            f"cannot draw {k} directions of length {length}",
            allowed="k from 1 up, a length above 0",
        )
    if n < 1:
        raise GroundingError(f"cannot list {n} words", allowed="n from 1 up")
    choice = Choice.of(readout, stop_words=stop_words, words=words, lexicon=lexicon)
    noise = torch.randn(k, len(mean), generator=torch.Generator().manual_seed(seed))
    directions = normalize(noise, dim=1).to(mean.device) * length
    found: list[tuple[str, ...]] = []
    for part in in_parts(directions, len(readout.tokenizer)):
        found += choice.top(direction_scores(readout, part, mean.float()), n)
    return tuple(found)


def in_parts(vectors: Vectors, v: int) -> Iterator[Vectors]:
    """Vectors in parts whose scores over v tokens fit into memory."""
    yield from vectors.split(max(1, _VALUES // max(1, v)))


def _asked(known: Vocabulary, words: Collection[str]) -> tuple[list[int], list[str]]:
    """Tokens that stand for the words of a list, and which: every spelling of it, or its first.

    Raises:
        GroundingError: there are none, or some cannot be said.
    """
    if isinstance(words, str) or not words or not all(one.strip() for one in words):
        raise GroundingError(f"words {words!r} list nothing", allowed='a list: ["dog", "snow"]')
    wanted = {key_of(one.strip()): one.strip() for one in words}
    tokens: dict[str, list[int]] = {}
    for number, key in zip(known.ids, known.keys, strict=True):
        tokens.setdefault(key, []).append(number)
    rest = [key for key in wanted if key not in tokens]
    firsts = dict(zip(rest, known.first_tokens([wanted[key] for key in rest]), strict=True))
    _require_said([wanted[key] for key in rest if firsts[key] not in known.places])
    groups: dict[str, list[str]] = {}
    for key, word in wanted.items():
        first = firsts.get(key)
        begins = key if first is None else known.keys[known.places[first]]
        groups.setdefault(begins, []).append(word)
    pairs = [(number, "/".join(groups[key])) for key in groups for number in tokens[key]]
    return [number for number, _ in pairs], [word for _, word in pairs]


def _require_said(mute: list[str]) -> None:
    if mute:
        raise GroundingError(
            f"no token of this vocabulary begins {', '.join(map(repr, mute[:5]))}"
            + (f" and {len(mute) - 5} more" if len(mute) > 5 else ""),
            remedy="leave them out: this model cannot begin them with letters of their own",
        )
