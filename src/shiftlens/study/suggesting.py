"""``suggest``: which words and layers of a model are worth looking at, from a small sample."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shiftlens.activations import tokens
from shiftlens.activations.asking import readable
from shiftlens.activations.harvesting import harvest
from shiftlens.activations.site import Site
from shiftlens.activations.store import ActivationStore
from shiftlens.activations.words.suggesting import SaidWord, count_words, said_words
from shiftlens.core.errors import DataError
from shiftlens.core.intervals import Interval, wilson
from shiftlens.core.progress import Progress
from shiftlens.data.sample import Samples
from shiftlens.models.generation import decode
from shiftlens.models.model import Model, Response
from shiftlens.study.layer_reading import (
    beyond_the_token_read,
    explained_elsewhere,
    most_concepts,
    ranks,
)

NEEDED = 120
"""States of a word that a comparison needs: 40 in each third of the data, as ``diff`` cuts it."""

_LAYERS = 8  # blocks that are looked at, at most
_LEGIBLE = 0.5  # share of states that read the word out


@dataclass(frozen=True)
class Worth:
    """A word, and whether the data say it often enough to compare two models at it.

    Attributes:
        said: how often the sample says it.
        verdict: ``yes``, ``perhaps`` or ``no``: whether the whole interval of its share, a part of
            it, or nothing of it gives enough states.
        ask: samples to ask for enough states even at the lower end of the interval.
        least: the exact lower end of its share (Clopper and Pearson), which few samples do not
            raise as they do others.
    """

    said: SaidWord
    verdict: str
    ask: int
    least: float

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        told = {"verdict": self.verdict, "ask": self.ask, "least": self.least}
        return {**self.said.to_dict(), **told}


@dataclass(frozen=True)
class LayerWorth:
    """What the states before words say after one block.

    Attributes:
        layer: index of the block.
        read: share of samples whose state reads out the word that follows: its first token is the
            likeliest after the final norm and the unembedding.
        chance: the same for another word, which another sample says; ``None`` where all say one.
        median_rank: of the word's first token; 1 is the likeliest.
        explained: share of variance that concepts of the other half of the samples explain, at the
            one word of interest, beyond the token that was just read; ``None`` where too few
            samples say it.
    """

    layer: int
    read: Interval
    chance: float | None
    median_rank: float
    explained: Interval | None

    @property
    def legible(self) -> bool:
        """Whether words are read out there, for sure more often than not and than by chance."""
        return self.read.low > max(_LEGIBLE, self.chance or 0)

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "layer": self.layer,
            "read": self.read.to_dict(),
            "chance": self.chance,
            "median_rank": self.median_rank,
            "explained": self.explained and self.explained.to_dict(),
        }


@dataclass(frozen=True)
class Suggestion:
    """Words and layers that are worth looking at.

    Attributes:
        model: what the user called the model.
        asked: samples that were asked.
        available: samples that a comparison could ask.
        quarantine: samples that could not be read, each with ``id`` and ``reason``.
        cut: responses that the token limit cut off.
        words: words of content, those that most samples say first.
        grammar: words that were left out, the commonest first.
        word: the word of interest; ``None`` where no word of content was said.
        k: concepts that were learned at it; 0 where too few samples say it.
        layers: what was found at each layer.
        legible_from: the first layer from which on most states read out the word that follows.
        layer: where to look; ``None`` where nothing tells the layers apart. It is the one whose
            concepts hold best on other samples, among those that words can be read from.
        clearest: the same among all layers, whether words can be read there or not.
    """

    model: str
    asked: int
    available: int
    quarantine: tuple[Mapping[str, str], ...]
    cut: int
    words: tuple[Worth, ...]
    grammar: tuple[str, ...]
    word: str | None
    k: int
    layers: tuple[LayerWorth, ...]
    legible_from: int | None
    layer: int | None
    clearest: int | None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "model": self.model,
            "asked": self.asked,
            "available": self.available,
            "unreadable": len(self.quarantine),
            "quarantine": [dict(one) for one in self.quarantine],
            "cut": self.cut,
            "needed": NEEDED,
            "words": [one.to_dict() for one in self.words],
            "grammar": list(self.grammar),
            "word": self.word,
            "k": self.k,
            "layers": [one.to_dict() for one in self.layers],
            "legible_from": self.legible_from,
            "layer": self.layer,
            "clearest": self.clearest,
        }


def suggest(
    model: Model,
    samples: Samples,
    *,
    n: int = 64,
    seed: int = 0,
    available: int | None = None,
    n_words: int = 10,
    words: Sequence[str] = (),
    layers: Sequence[int] | None = None,
    k: int = 4,
    max_new_tokens: int = 64,
    batch_size: int = 32,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Suggestion:
    """Ask a model a few samples, and say which words and layers are worth a comparison.

    Exploratory: nothing is judged with it. The words are chosen on samples that a comparison may
    hold too, so give ``diff`` other samples, or more of them.

    Args:
        model: who is asked.
        samples: what it may be asked.
        n: how many of them it is asked, drawn with the seed.
        seed: of the draw, the halves and the learner.
        available: samples that a comparison could ask; by default those that were given.
        n_words: words that are told, at most.
        words: words of interest, of any kind; by default the words of content that are said.
        layers: blocks to look at; by default eight, evenly spread, the last among them.
        k: concepts that are learned at the word of interest, fewer where few samples say it.
        max_new_tokens: where a response is cut off.
        batch_size: samples at once.
        out: where the states are kept; in a temporary directory by default.
        progress: who is told how far it is.

    Returns:
        words and layers, the most promising first, with the figures behind them.

    Raises:
        DataError: no samples, none that can be read, or a number that is not possible.
        SiteError: a layer that the model does not have.
    """
    if n < 1 or n_words < 1 or k < 2:
        raise DataError(
            f"{n} samples, {n_words} words, {k} concepts", allowed="at least 1, 1 and 2"
        )
    blocks = _blocks(model, layers)
    kept, quarantine = readable(samples.take(n, seed=seed))
    said = model.respond(
        list(kept), max_new_tokens=max_new_tokens, batch_size=batch_size, progress=progress
    )
    found, grammar = said_words(said, partial(decode, model), most=n_words)
    found = count_words(said, words) if words else found
    total = len(samples) if available is None else available
    worth = tuple(_worth(one, len(said), total) for one in found)
    answers = {one.id: answer for one, answer in zip(kept, said, strict=True)}
    learned, read = 0, tuple[LayerWorth, ...]()
    folder = tempfile.TemporaryDirectory() if out is None else nullcontext(str(out))
    with folder as path:
        if found:
            site = Site(blocks, tokens.word(*(one.word for one in found), every=True))
            store = harvest(
                model,
                kept,
                site,
                path,
                said=answers,
                max_new_tokens=max_new_tokens,
                batch_size=batch_size,
                allow_empty=True,
                progress=progress,
            )
            learned, read = _read(model, _Said(store, answers), found[0].word, k, seed)
    legible = _legible_from(read)
    return Suggestion(
        model=model.name,
        asked=len(kept),
        available=total,
        quarantine=tuple(quarantine),
        cut=sum(one.truncated for one in said),
        words=worth,
        grammar=tuple(grammar),
        word=found[0].word if found else None,
        k=learned,
        layers=read,
        legible_from=legible,
        layer=_best(read, legible),
        clearest=_best(read, None),
    )


def _blocks(model: Model, layers: Sequence[int] | None) -> tuple[int, ...]:
    """Blocks to look at, from 0."""
    if layers is not None:
        return Site(tuple(layers)).resolve(model).layers
    last = model.address.n_layers - 1
    spread = np.linspace(0, last, min(_LAYERS, last + 1)).round().astype(int)
    return tuple(sorted(set(spread.tolist())))


def _worth(said: SaidWord, n: int, available: int) -> Worth:
    """Whether enough samples say a word; by the exact interval, which holds for few samples too."""
    from scipy.stats import beta

    least = float(beta.ppf(0.025, said.samples, n - said.samples + 1))
    low, high = least * available, said.share.high * available
    verdict = "yes" if low >= NEEDED else "perhaps" if high >= NEEDED else "no"
    return Worth(said, verdict, int(np.ceil(NEEDED / least)), least)


@dataclass(frozen=True)
class _Said:
    """States before words, with the tokens on either side of each."""

    store: ActivationStore
    answers: Mapping[str, Response]

    def first_rows(self, word: str | None) -> list[int]:
        """The first row of each sample, of one word or any: samples are what is independent."""
        seen: dict[str, int] = {}
        for index, row in enumerate(self.store.rows):
            if word is None or row.word == word:
                seen.setdefault(row.sample_id, index)
        return list(seen.values())

    def said(self, rows: Sequence[int]) -> list[int]:
        """The token that each state emits."""
        return [self._ids(row)[self.store.rows[row].position] for row in rows]

    def read(self, rows: Sequence[int]) -> list[int]:
        """The token that was read at each state; one number for the end of the prompt."""
        places = [(self._ids(row), self.store.rows[row].position) for row in rows]
        return [ids[at - 1] if at else -1 for ids, at in places]

    def _ids(self, row: int) -> tuple[int, ...]:
        return self.answers[self.store.rows[row].sample_id].token_ids


def _read(
    model: Model, said: _Said, word: str, k: int, seed: int
) -> tuple[int, tuple[LayerWorth, ...]]:
    """How many concepts were learned at the one word of interest, and what each layer says."""
    rows, at_word = said.first_rows(None), said.first_rows(word)
    if not rows:
        return 0, ()
    before, found = said.read(at_word), list[LayerWorth]()
    for layer in said.store.layers:
        states = said.store.states(layer)
        ranked = ranks(model.readout, states[rows], said.said(rows), seed=seed)
        inner = beyond_the_token_read(states[at_word], before)
        k = most_concepts(len(inner), k)
        others = ranked.other[np.isfinite(ranked.other)]
        found.append(
            LayerWorth(
                layer=layer,
                read=wilson(int((ranked.own == 1).sum()), len(rows)),
                chance=float((others == 1).mean()) if len(others) else None,
                median_rank=float(np.median(ranked.own)),
                explained=explained_elsewhere(inner, k, seed=seed),
            )
        )
    return (k if k > 1 else 0), tuple(found)


def _legible_from(layers: Sequence[LayerWorth]) -> int | None:
    """The first layer from which on states read out their word, for sure more often than not.

    Where other samples' words are read out as often, it is not the samples that are read.
    """
    legible: int | None = None
    for one in reversed(layers):
        if not one.legible:
            break
        legible = one.layer
    return legible


def _best(layers: Sequence[LayerWorth], legible: int | None) -> int | None:
    """The layer whose concepts hold best on other samples, among those that words are read from."""
    known = [
        (one.explained.estimate, one.layer)
        for one in layers
        if one.explained is not None
        and one.explained.low > 0
        and (legible is None or one.layer >= legible)
    ]
    return max(known)[1] if known else None
