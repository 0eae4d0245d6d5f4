"""BERTScore: do the words of a concept say what captions of its pictures say?

Every token is matched with the most similar token of the other text, by cosine of contextual
embeddings: precision over the words, recall over the caption, F1 of both (Zhang et al. 2020,
section 3). Special tokens are no tokens of a text and are left out.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.quality.figures import Figure
from shiftlens.concepts.quality.judging import TextEncoder, Tokens
from shiftlens.concepts.quality.resampling import PerRow, figure_of, units_of
from shiftlens.core.errors import LearnError
from shiftlens.core.shapes import Assignment

PARTS = ("precision", "recall", "F1")
_AT_ONCE = 512


def idf_weights(references: Sequence[Tokens]) -> dict[int, float]:
    """Weight of each token by how few texts have it: log((N + 1) / (df + 1)).

    Tokens that no text has weigh log(N + 1); see ``bert_scores``.
    """
    seen = Counter(token for text in references for token in set(text.ids))
    return {token: math.log((len(references) + 1) / (df + 1)) for token, df in seen.items()}


def bert_scores(
    candidates: Sequence[Tokens],
    references: Sequence[Tokens],
    *,
    idf: Mapping[int, float] | None = None,
    floor: float | None = None,
) -> np.ndarray:
    """Precision, recall and F1 of every candidate c with every reference r: (r, c, 3).

    Args:
        candidates: texts that are judged.
        references: texts that are right.
        idf: weights of tokens; all weigh the same unless given. Tokens that it does not have weigh
            as much as the rarest that it has.
        floor: what unrelated texts score; scores become (score - floor) / (1 - floor).

    Returns:
        NaN where a text has no tokens, or none with a weight.

    Raises:
        LearnError: a floor of 1 or more.
    """
    if floor is not None and not floor < 1:
        raise LearnError(f"unrelated texts scoring {floor}", allowed="a number below 1")
    table = np.full((len(references), len(candidates), 3), np.nan)
    columns = [place for place, one in enumerate(candidates) if one.ids]
    kept = [place for place, one in enumerate(references) if one.ids]
    for start in range(0, len(kept), _AT_ONCE):
        rows = kept[start : start + _AT_ONCE]
        if columns:
            part = _scored(
                [candidates[place] for place in columns], [references[place] for place in rows], idf
            )
            table[np.ix_(rows, columns)] = part
    return table if floor is None else (table - floor) / (1 - floor)


def _scored(
    candidates: list[Tokens], references: list[Tokens], idf: Mapping[int, float] | None
) -> np.ndarray:
    """The same, for texts that all have tokens."""
    ours, theirs = (
        normalize(torch.cat([one.vectors for one in texts]).float(), dim=1)
        for texts in (candidates, references)
    )
    cosines = (theirs @ ours.T).double().numpy()
    heads, tails = _starts(references), _starts(candidates)
    mine, right = _weights(candidates, idf), _weights(references, idf)
    found = np.maximum.reduceat(cosines, heads, axis=0) * mine
    said = np.maximum.reduceat(cosines, tails, axis=1) * right[:, None]
    precision = _divided(np.add.reduceat(found, tails, axis=1), np.add.reduceat(mine, tails))
    recall = _divided(np.add.reduceat(said, heads, axis=0), np.add.reduceat(right, heads)[:, None])
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    f1[np.isnan(both)] = np.nan
    return np.stack([precision, recall, f1], axis=2)


def _starts(texts: list[Tokens]) -> np.ndarray:
    return np.cumsum([0, *(len(one.ids) for one in texts[:-1])])


def _weights(texts: list[Tokens], idf: Mapping[int, float] | None) -> np.ndarray:
    ids = [token for one in texts for token in one.ids]
    if idf is None:
        return np.ones(len(ids))
    rarest = max(idf.values(), default=1.0)
    return np.asarray([idf.get(token, rarest) for token in ids])


def _divided(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    bottom = np.broadcast_to(bottom, shape)
    return np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom > 0)


def bert_score(
    encoder: TextEncoder,
    words: WordLists,
    assignment: Tensor,
    captions: Sequence[str | None],
    *,
    name: str = "BERTScore of words",
    idf: bool = False,
    floor: float | None = None,
    random_words: Sequence[WordLists] = (),
    baselines: Mapping[str, Sequence[tuple[Assignment, WordLists]]] | None = None,
    groups: Sequence[object] | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> list[Figure]:
    """BERTScore of the words of each row's concept with the row's caption: F1, precision, recall.

    Beside it the words of a random row's concept (*shuffled concepts*), random words, and any other
    concepts. The interval is over pictures, given these concepts and words. Rows without a concept,
    without words or without a caption are left out and counted.

    Args:
        encoder: who reads.
        words: k lists; a list is read as one text, words separated by spaces.
        assignment: (n,) concept of each row, -1 for none.
        captions: n; ``None`` or empty where there is none.
        name: of the figures.
        idf: weigh tokens by how few captions have them.
        floor: what unrelated texts score, for rescaled figures.
        random_words: draws of word lists that nobody learned; a caption is scored with them all.
        baselines: assignments and words of other concepts, by name; several of one name are
            averaged.
        groups: one a row; rows of one group (picture) are resampled together.
        seed: of the resampling.
        draws: resamples.

    Raises:
        LearnError: lengths differ, there are no captions, or no row can be measured.
    """
    if len(assignment) != len(captions):
        raise LearnError(
            f"{len(assignment)} assigned rows with {len(captions)} captions",
            allowed="one caption a row",
        )
    if not any(captions):
        raise LearnError("no row has a caption", allowed="a text for at least one row")
    reading = _Reading(encoder, captions, idf, floor)
    table = reading.table(words)
    own = _own(table, assignment)
    measured = np.isfinite(own[:, 0])
    labels = assignment.cpu().numpy()
    shares = np.bincount(labels[measured], minlength=len(words)) / max(1, int(measured.sum()))
    shuffled = np.einsum("nkp,k->np", np.nan_to_num(table), shares)
    others = {"shuffled concepts": shuffled}
    lists = [one for one in random_words if any(one)]
    if lists:
        others["random words"] = np.mean([_all(reading.table(one)) for one in lists], axis=0)
    for key, them in (baselines or {}).items():
        scored = [_own(reading.table(other), its) for its, other in them]
        others[key] = np.mean(scored, axis=0)
    others = {key: np.where(measured[:, None], one, np.nan) for key, one in others.items()}
    there = {key: one for key, one in others.items() if np.isfinite(one[:, 0]).any()}
    units, silent = units_of(len(captions), groups), sum(not one for one in words)
    return [
        figure_of(
            f"{name} ({PARTS[part]})",
            PerRow.mean(own[:, part]),
            {key: PerRow.mean(one[:, part]) for key, one in there.items()},
            units,
            unit="pictures",
            seed=seed,
            draws=draws,
            counts={"concepts without words": silent},
        )
        for part in (2, 0, 1)
    ]


class _Reading:
    """Captions, read once, and the scores of word lists with them."""

    def __init__(
        self,
        encoder: TextEncoder,
        captions: Sequence[str | None],
        idf: bool,
        floor: float | None,
    ) -> None:
        self._encoder, self._floor = encoder, floor
        places = {text: place for place, text in enumerate(dict.fromkeys(captions)) if text}
        texts = list(places)
        self._references = encoder.tokens(texts)
        rows = {text: place for place, text in enumerate(texts)}
        self._rows = np.asarray([rows.get(one or "", -1) for one in captions])
        # By rows, not by distinct texts: a caption that is said often is not rare.
        every = [self._references[place] for place in self._rows if place >= 0]
        self._idf = idf_weights(every) if idf else None

    def table(self, words: WordLists) -> np.ndarray:
        """Scores (n, k, 3); NaN for rows without a caption and concepts without words."""
        candidates = self._encoder.tokens([" ".join(one) for one in words if one])
        found = np.full((len(self._references), len(words), 3), np.nan)
        spoken = [place for place, one in enumerate(words) if one]
        found[:, spoken] = bert_scores(
            candidates, self._references, idf=self._idf, floor=self._floor
        )
        rows = found[np.maximum(self._rows, 0)]
        rows[self._rows < 0] = np.nan
        return rows


def _own(table: np.ndarray, assignment: Assignment) -> np.ndarray:
    """Each row's scores (n, 3) at its own concept; NaN for rows of none."""
    labels = assignment.cpu().numpy()
    found = table[np.arange(len(labels)), np.maximum(labels, 0)]
    found[labels < 0] = np.nan
    return found


def _all(table: np.ndarray) -> np.ndarray:
    """Each row's mean (n, 3) over all lists that have words."""
    there = np.isfinite(table[..., 0]).any(axis=0)
    if not there.any():
        return np.full((len(table), 3), np.nan)
    return table[:, there].mean(axis=1)
