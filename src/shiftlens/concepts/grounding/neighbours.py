"""Words by neighbouring states: the words whose mean states lie nearest to a concept.

The second way to words. It needs neither head nor norm, so it works at every layer, and it says
what the states are about, not what they are about to emit.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.concepts import Concepts, WordLists
from shiftlens.concepts.grounding.said import Said, said_in
from shiftlens.concepts.grounding.words import in_parts, stopped
from shiftlens.concepts.rows import StoreRows
from shiftlens.core.errors import GroundingError, MismatchError

BEYOND = 2.0
"""What one word in forty reaches by chance; below it none is listed."""


@dataclass(frozen=True, eq=False)
class WordStates:
    """Mean states of words.

    Attributes:
        words: w words, the commonest first.
        counts: in how many rows, or responses where a row is about all words of one, each is said.
        means: (w, d) float32.
        mean: (d,) of all rows.
        dealt: (w, d) the same means after words were dealt to rows, or responses, at random.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    means: Float[Tensor, "w d"]
    mean: Float[Tensor, " d"]
    dealt: Float[Tensor, "w d"]


@dataclass(frozen=True)
class Neighbours:
    """Words near concepts.

    Attributes:
        words: for each concept, the nearest first.
        cosines: of the same.
        beyond_chance: how far each of them lies in the direction of the concept, in units of what
            words do that are dealt to the states at random (root mean square; words said more often
            lie less far by chance, and are judged accordingly). Chance gives 2 or more to one word
            in forty.
    """

    words: WordLists
    cosines: tuple[tuple[float, ...], ...]
    beyond_chance: tuple[tuple[float, ...], ...]


def neighbour_words(
    concepts: Concepts,
    store: ActivationStore,
    *,
    layer: int | None = None,
    n: int = 15,
    stop_words: Collection[str] = (),
    tokenizer: Any = None,
    at_least: int = 5,
) -> WordLists:
    """For each concept the words whose mean states are nearest to it, nearest first.

    Near is the cosine after the mean of all states is taken off. Words that lie no farther in the
    direction of a concept than words that are dealt to the states at random are not listed, so
    lists may be short; see ``neighbours_of`` for the figures.

    Args:
        concepts: of the store's site.
        store: harvested states.
        layer: which of its layers; the concepts' own unless given.
        n: words a concept.
        stop_words: words to leave out, or codes of languages.
        tokenizer: of the store's model, see ``said.said_in``.
        at_least: rows (or responses) that a word must be said in, and must be missing from.

    Raises:
        GroundingError: no word is said often enough, or n is below 1.
        MismatchError: concepts and store are of different width.
    """
    states = word_states(
        store,
        layer=_layer(concepts, layer),
        tokenizer=tokenizer,
        stop_words=stop_words,
        at_least=at_least,
    )
    if not states.words:
        raise GroundingError(
            f"no word is said in {at_least} of the states and missing from as many",
            remedy="harvest more samples, or lower at_least",
        )
    return neighbours_of(concepts, states, n=n).words


def neighbours_of(
    concepts: Concepts, states: WordStates, *, n: int = 15, beyond: float = BEYOND
) -> Neighbours:
    """The words nearest to each concept, with their cosines and those of chance.

    Args:
        concepts: centroids, from which the mean state is taken off, or directions as they are.
        states: of words.
        n: words a concept.
        beyond: how far beyond chance a word must lie to be listed, see ``Neighbours``; 0 lists
            whatever points towards the concept.

    Raises:
        GroundingError: n is below 1.
        MismatchError: another width.
    """
    if n < 1:
        raise GroundingError(f"cannot list {n} words", allowed="n from 1 up")
    if len(states.mean) != concepts.d:
        raise MismatchError(
            f"concepts of width {concepts.d} beside states of width {len(states.mean)}"
        )
    origin = states.mean if concepts.kind == "centroid" else torch.zeros_like(states.mean)
    often = torch.tensor(states.counts).sqrt()
    lists: list[tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]] = []
    for part in in_parts(concepts.vectors.cpu().float(), len(states.words)):
        vectors = normalize(part - origin, dim=1)
        cosines = vectors @ normalize(states.means - states.mean, dim=1).T
        dealt = often * (vectors @ (states.dealt - states.mean).T)
        chance = dealt.square().mean(dim=1).sqrt().clamp(min=torch.finfo(torch.float32).tiny)
        far = often * (vectors @ (states.means - states.mean).T) / chance[:, None]
        listed = cosines.where((far >= beyond) & (cosines > 0), -torch.inf)
        best = listed.topk(min(n, len(states.words)), dim=1)
        rows = zip(best.values, best.indices, far.gather(1, best.indices), strict=True)
        for values, places, reached in rows:
            kept = int(torch.isfinite(values).sum())
            words = tuple(states.words[at] for at in places[:kept].tolist())
            lists.append((words, tuple(values[:kept].tolist()), tuple(reached[:kept].tolist())))
    return Neighbours(*zip(*lists, strict=True))


def word_states(
    store: ActivationStore,
    *,
    layer: int | None = None,
    tokenizer: Any = None,
    stop_words: Collection[str] = (),
    at_least: int = 5,
    seed: int = 0,
) -> WordStates:
    """The mean state of every word, in one pass over the store.

    Args:
        store: harvested states.
        layer: which of its layers; may be left out when there is one.
        tokenizer: of the store's model, see ``said.said_in``.
        stop_words: words to leave out, or codes of languages.
        at_least: rows (or responses) that a word must be said in, and that it must be missing from:
            what all say tells nothing apart.
        seed: of the words that are dealt at random.

    Returns:
        no words at all, where none is said often enough.

    Raises:
        GroundingError: ``at_least`` is below 1, or a state is not finite.
        DataError: see ``said.said_in``.
        SiteError: the store does not hold that layer.
    """
    if at_least < 1:
        raise GroundingError(f"words of {at_least} rows", allowed="at_least from 1 up")
    said = said_in(store, tokenizer)
    counts = _often(said, stopped(stop_words), at_least)
    columns = {word: at for at, word in enumerate(counts)}
    units = [
        np.array([columns[one] for one in some if one in columns], dtype=np.int64)
        for some in said.words
    ]
    dealt = [units[at] for at in np.random.default_rng(seed).permutation(len(units))]
    rows, w = StoreRows(store, layer), len(counts)
    sums = torch.zeros(2 * w + 1, rows.d, dtype=torch.float64)
    weights = torch.zeros(2 * w + 1, dtype=torch.float64)
    for numbers, states in rows.chunks():
        belongs = said.unit[numbers.numpy()]
        part = _membership(belongs, units, dealt, w)
        sums += torch.sparse.mm(part, states.cpu().float()).double()
        weights += torch.sparse.sum(part, dim=1).to_dense().double()
    if not bool(torch.isfinite(sums).all()):
        raise GroundingError("a state of the store is not finite", remedy="harvest it again")
    means = (sums / weights.clamp(min=1)[:, None]).float()
    spelled = tuple(said.spelling[word] for word in counts)
    return WordStates(spelled, tuple(counts.values()), means[:w], means[2 * w], means[w : 2 * w])


def _often(said: Said, silent: frozenset[str], at_least: int) -> dict[str, int]:
    """Words that some units say and some do not, the commonest first."""
    counts: Counter[str] = Counter(one for some in said.words for one in some)
    most = len(said.words) - at_least
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return {
        word: times for word, times in ordered if at_least <= times <= most and word not in silent
    }


def _membership(
    belongs: np.ndarray, units: list[np.ndarray], dealt: list[np.ndarray], w: int
) -> Tensor:
    """Sparse (2 w + 1, m): the words of each row, the words dealt to it, and one line of all."""
    lines = [
        np.concatenate([units[one], dealt[one] + w, [2 * w]]).astype(np.int64) for one in belongs
    ]
    columns = np.repeat(np.arange(len(lines)), [len(one) for one in lines])
    places = torch.from_numpy(np.stack([np.concatenate(lines), columns]))
    ones, shape = torch.ones(places.shape[1]), (2 * w + 1, len(lines))
    return torch.sparse_coo_tensor(places, ones, shape, check_invariants=True)


def _layer(concepts: Concepts, layer: int | None) -> int | None:
    own = concepts.site.layer
    return layer if layer is not None or not isinstance(own, int) else own
