"""``ground``: give concepts their words and their pictures."""

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts, WordLists
from shiftlens.concepts.grounding.images import top_images
from shiftlens.concepts.grounding.neighbours import neighbours_of, word_states
from shiftlens.concepts.grounding.whole_words import Lexicon
from shiftlens.concepts.grounding.words import (
    Choice,
    Scores,
    contrast,
    direction_scores,
    in_parts,
    reading,
    state_scores,
)
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.errors import GroundingError, MismatchError
from shiftlens.core.shapes import Vectors
from shiftlens.models.readout import Readout

_SAMPLES = 2048  # states of the store that the contrast against samples is taken from, at most


def ground(
    concepts: Concepts,
    store: ActivationStore,
    readout: Readout,
    *,
    n_words: int = 15,
    n_images: int = 5,
    stop_words: Collection[str] = (),
    words: Collection[str] | None = None,
    neighbours: bool = True,
    against: str = "concepts",
    lexicon: Lexicon | None = None,
) -> Concepts:
    """Words through the model's own head, words of neighbouring states, and images.

    Words are listed three times. The plain ones are the likeliest after a concept, or rise most
    with it. The contrastive ones are what it says more than the other concepts do, or than samples
    do on average: plain lists often name only the rivals of the token of interest. The neighbours
    are the words whose mean states are nearest, see ``neighbours.neighbour_words``; their lists
    stay empty where no word is said often enough.

    The store is read shard by shard, and vectors are read in parts, so that thousands of concepts
    of a large vocabulary need no more memory than one part.

    Args:
        concepts: learned from the store, or of its site.
        store: the states and their samples.
        readout: final norm and unembedding of the model that the store came from; states that have
            been through the norm are not normed again.
        n_words: words a concept.
        n_images: images a concept.
        stop_words: words that are never listed; or codes of languages ("en", "en de"), whose words
            of grammar are not.
        words: list only these; those that begin with the same token are one, "surfer/surfing".
        neighbours: whether words of neighbouring states are looked for.
        against: what contrastive words are told apart from, ``concepts`` or ``samples``: over at
            most 2,048 states, evenly spread over the store. A single concept has no others to be
            told from: its list is empty.
        lexicon: words of texts, which tell whole words from pieces; those of the store's responses
            unless given. Lists that are compared must be read with one: ``Lexicon.of`` all texts.

    Returns:
        the same concepts with words and images.

    Raises:
        MismatchError: the concepts do not belong to the store's site, or are of another width.
        GroundingError: the vocabulary has no words, ``words`` cannot be said, the stop words leave
            none, or fewer than one is asked for.
        DataError: the readout's tokenizer is not the one that the responses were decoded with.
    """
    layer = _require_site(concepts, store)
    _require_options(n_words, n_images, against)
    rows = StoreRows(store, layer)
    if rows.d != concepts.d:
        raise MismatchError(f"concepts of width {concepts.d}, a store of width {rows.d}")
    readout = reading(readout, concepts.site)
    said = Lexicon.of(store.responses.values()) if lexicon is None else lexicon
    choice = Choice.of(readout, stop_words=stop_words, words=words, lexicon=said)
    reader = _Reader(readout, None if concepts.kind == "centroid" else mean_state(rows))
    plain, contrastive = reader.read(
        concepts.vectors, choice, n_words, None if against == "concepts" else reader.usual(rows)
    )
    none: WordLists = ((),) * concepts.k
    near: WordLists = ()
    if neighbours:
        states = word_states(store, layer=layer, tokenizer=readout.tokenizer, stop_words=stop_words)
        near = neighbours_of(concepts, states, n=n_words).words
    return concepts.grounded(
        words=plain,
        contrastive=contrastive,
        images=top_images(concepts, store, n=n_images, layer=layer) if n_images else none,
        neighbours=near,
        decoded_with=readout.fingerprint,
    )


def mean_state(rows: StoreRows) -> Float[Tensor, " d"]:
    """The mean of all states, float32, in one pass."""
    total = torch.zeros(rows.d, dtype=torch.float64)
    for _, states in rows.chunks():
        total += states.double().sum(dim=0).cpu()
    return (total / len(rows)).float()


class _Reader:
    """Scores of vectors: of states as they stand, of directions around a mean state."""

    def __init__(self, readout: Readout, mean: Float[Tensor, " d"] | None) -> None:
        self._readout, self._mean = readout, mean
        self._v = len(readout.tokenizer)

    def read(
        self, vectors: Vectors, choice: Choice, n: int, usual: Float[Tensor, " v"] | None
    ) -> tuple[WordLists, WordLists]:
        """Plain words and contrastive ones.

        Args:
            vectors: (k, d).
            choice: which words may be listed.
            n: how many a concept.
            usual: (v,) what to tell from; the mean over all vectors, found in a first pass, unless
                given.
        """
        parts = list(in_parts(vectors, self._v))
        apart = len(vectors) > 1 or usual is not None
        # One part is scored once, several twice: all scores of many concepts fit no memory.
        held = self._scores(parts[0]) if len(parts) == 1 else None
        total: Tensor | None = None
        plain: list[tuple[str, ...]] = []
        for part in parts:
            scores = self._scores(part) if held is None else held
            plain += choice.top(scores, n)
            if usual is None:
                total = scores.double().sum(dim=0) + (0 if total is None else total)
        if not apart:
            return tuple(plain), ((),) * len(vectors)
        mean = usual if total is None else (total / len(vectors)).float()
        contrastive: list[tuple[str, ...]] = []
        for part in parts:
            scores = held if held is not None else self._scores(part)
            if usual is not None and self._mean is not None:
                scores = state_scores(self._readout, self._mean + part)
            contrastive += choice.top(contrast(scores, mean), n)
        return tuple(plain), tuple(contrastive)

    def usual(self, rows: StoreRows) -> Float[Tensor, " v"]:
        """Mean log-probability of every token over states of the store: (v,)."""
        step = max(1, len(rows) // _SAMPLES)
        total: Tensor | None = None
        n = 0
        for numbers, states in rows.chunks():
            chosen = states[numbers.remainder(step) == 0].float()
            for part in in_parts(chosen, self._v) if len(chosen) else ():
                scores = state_scores(self._readout, part)
                total = scores.double().sum(dim=0) + (0 if total is None else total)
                n += len(part)
        if total is None:
            raise GroundingError("the store holds no states to tell concepts from")
        return (total / n).float()

    def _scores(self, part: Vectors) -> Scores:
        if self._mean is None:
            return state_scores(self._readout, part)
        return direction_scores(self._readout, part, self._mean)


def _require_site(concepts: Concepts, store: ActivationStore) -> int:
    layer = concepts.site.layer
    if not isinstance(layer, int) or layer not in store.layers:
        raise MismatchError(
            f"the concepts live at layer {layer}, the store holds {list(store.layers)}"
        )
    return layer


def _require_options(n_words: int, n_images: int, against: str) -> None:
    if n_words < 1 or n_images < 0:
        raise GroundingError(
            f"cannot list {n_words} words and {n_images} images",
            allowed="n_words from 1 up, n_images from 0 up",
        )
    if against not in ("concepts", "samples"):
        raise GroundingError(
            f"cannot tell words apart from {against!r}", allowed="concepts, samples"
        )
