"""The intruder test: can somebody else tell which picture, or word, does not belong?

A judge is shown the top pictures of a concept and one of another, and names the one that fits
least (Chang et al. 2009, for topics). Where it does no better than chance, the concept is nothing
that can be seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.quality.clip_score import known_words
from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.concepts.quality.judging import PictureJudge, Seen, read_out
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval, percentile, wilson


@dataclass(frozen=True)
class Trials:
    """How the test is held.

    Attributes:
        n_shown: pictures, or words, of the concept that the intruder is put among; from 2 up.
        n_trials: intruders for each concept.
        seed: of the intruders and of the resampling.
        draws: resamples.
    """

    n_shown: int = 5
    n_trials: int = 20
    seed: int = 0
    draws: int = 1000

    def __post_init__(self) -> None:
        if self.n_shown < 2 or self.n_trials < 1:
            raise LearnError(
                f"{self.n_trials} trials with {self.n_shown} shown",
                allowed="1 trial or more, 2 shown or more",
            )


Tops = Sequence[Sequence[int]]
"""For each concept the numbers of its top rows, best first."""

_Naming = Callable[[int, list[int], int], float]
"""Concept, members shown, intruder: 1 where the intruder is named, 0 where another one is."""


def picture_intruders(
    seen: Seen,
    tops: Tops,
    *,
    scores: np.ndarray | None = None,
    pictures: Sequence[object] | None = None,
    baselines: Mapping[str, Sequence[Tops]] | None = None,
    trials: Trials | None = None,
) -> Figure:
    """Share of trials in which the judge finds the picture that is not the concept's.

    It names the picture with the lowest mean similarity to the others or, given scores, the one
    that fits the concept's words least. Ties count in part. The interval is over concepts; beside
    it stands chance, 1 / (n_shown + 1).

    Args:
        seen: (n, e) the judge's embeddings of the rows' pictures: ``looked_at``.
        tops: for each concept its top rows: ``top_rows``. Concepts with fewer than ``n_shown`` are
            left out and counted.
        scores: (n, k) fit of each row's picture with each concept's words: ``picture_scores``;
            baselines are judged by similarity to each other only and must then be left out.
        pictures: one a row; an intruder is never a picture that is shown already.
        baselines: top rows of concepts that nobody learned, by name; several of one name are
            averaged. Not paired: they are other concepts.
        trials: how many, and the seed.

    Raises:
        LearnError: no concept has enough pictures, or there is no other concept to intrude.
    """
    how = trials or Trials()
    if scores is not None and baselines:
        raise LearnError("baselines have no words to be judged by", allowed="baselines or scores")
    cosines = (seen @ seen.T).double().numpy() if len(seen) <= 4096 else None
    keys = list(pictures) if pictures is not None else list(range(len(seen)))

    def named(concept: int, shown: list[int], intruder: int) -> float:
        rows = [*shown, intruder]
        if scores is not None:
            return _named(scores[rows, concept])
        table = cosines[np.ix_(rows, rows)] if cosines is not None else _cosines(seen, rows)
        return _named(_to_the_rest(table))

    def accuracies(ours: Tops) -> np.ndarray:
        return _held(ours, [[keys[row] for row in one] for one in ours], how, named)

    usable = tops if scores is None else _with_scores(tops, scores)
    name = "odd picture found" if scores is None else "odd picture found by words"
    return _figure(
        name,
        accuracies(usable),
        {key: [accuracies(one) for one in them] for key, them in (baselines or {}).items()},
        how,
    )


def word_intruders(
    judge: PictureJudge,
    words: WordLists,
    *,
    template: str = "{}",
    name: str = "odd word found",
    baselines: Mapping[str, Sequence[WordLists]] | None = None,
    trials: Trials | None = None,
) -> Figure:
    """Share of trials in which the judge finds the word that is not the concept's.

    The first words of a concept are put beside one of another concept's that this one does not
    say; the judge names the word with the lowest mean similarity to the others. Words that the
    judge does not know are left out.

    Args:
        judge: who reads.
        words: one list a concept; concepts with fewer than ``n_shown`` known words are left out
            and counted.
        template: what stands around a word.
        name: of the figure.
        baselines: lists that nobody learned, by name; several of one name are averaged.
        trials: how many, and the seed.

    Raises:
        LearnError: no concept has enough words, or no other concept has words of its own.
    """
    how = trials or Trials()

    def accuracies(lists: WordLists) -> np.ndarray:
        kept, _ = known_words(judge, lists)
        said = list(dict.fromkeys(word for one in kept for word in one))
        places = {word: place for place, word in enumerate(said)}
        if not said:
            return np.full(len(lists), np.nan)
        vectors = read_out(judge, [template.replace("{}", word) for word in said])
        tops = [[places[word] for word in one] for one in kept]

        def named(_concept: int, shown: list[int], intruder: int) -> float:
            return _named(_to_the_rest(_cosines(vectors, [*shown, intruder])))

        return _held(tops, tops, how, named, whole=True)

    others = {key: [accuracies(one) for one in them] for key, them in (baselines or {}).items()}
    return _figure(name, accuracies(words), others, how)


def _held(
    tops: Tops,
    keys: Sequence[Sequence[object]],
    how: Trials,
    named: _Naming,
    *,
    whole: bool = False,
) -> np.ndarray:
    """Accuracy of each concept (k,), NaN for those with too few members or no possible intruder."""
    rng = np.random.default_rng(how.seed)
    found = np.full(len(tops), np.nan)
    for concept, members in enumerate(tops):
        if len(members) < how.n_shown:
            continue
        shown = list(members[: how.n_shown])
        own = set(keys[concept] if whole else keys[concept][: how.n_shown])
        strangers = [
            [row for row, key in zip(rows, its, strict=True) if key not in own]
            for other, (rows, its) in enumerate(zip(tops, keys, strict=True))
            if other != concept
        ]
        strangers = [rows for rows in strangers if rows]
        if not strangers:
            continue
        hits: list[float] = []
        for _ in range(how.n_trials):
            rows = strangers[int(rng.integers(len(strangers)))]
            hits.append(named(concept, shown, rows[int(rng.integers(len(rows)))]))
        found[concept] = float(np.mean(hits))
    return found


def _named(fits: np.ndarray) -> float:
    """1 where the last one fits least, its share where it ties with others, otherwise 0."""
    least = np.flatnonzero(fits - fits.min() <= 1e-9)
    return float(len(fits) - 1 in least) / len(least)


def _to_the_rest(cosines: np.ndarray) -> np.ndarray:
    """Mean similarity of each to the others."""
    return (cosines.sum(axis=1) - np.diag(cosines)) / (len(cosines) - 1)


def _cosines(vectors: Tensor, rows: list[int]) -> np.ndarray:
    chosen = vectors[torch.tensor(rows)]
    return (chosen @ chosen.T).double().numpy()


def _with_scores(tops: Tops, scores: np.ndarray) -> Tops:
    """Concepts without words cannot be judged by them."""
    return [
        [] if bool(np.isnan(column).any()) else rows
        for column, rows in zip(scores.T, tops, strict=True)
    ]


def _figure(
    name: str, own: np.ndarray, others: Mapping[str, Sequence[np.ndarray]], how: Trials
) -> Figure:
    measured = own[np.isfinite(own)]
    if not len(measured):
        raise LearnError(
            f"no concept has {how.n_shown} members to put an intruder among",
            allowed="two concepts or more, one with enough pictures or words",
            remedy="show fewer, or measure on more rows",
        )
    rng = np.random.default_rng(how.seed)
    value, drawn = _over_concepts([own], rng, how.draws)
    chance = 1 / (how.n_shown + 1)
    gain = Interval(value.estimate - chance, value.low - chance, value.high - chance)
    beside = [Baseline("chance", Interval(chance, chance, chance), gain)]
    for key, them in others.items():
        there = [one for one in them if np.isfinite(one).any()]
        if there:
            other, spread = _over_concepts(there, rng, how.draws)
            less = percentile(drawn - spread, value.estimate - other.estimate)
            beside.append(Baseline(key, other, less))
    counts = {
        "concepts": len(measured),
        "left out": len(own) - len(measured),
        "trials": len(measured) * how.n_trials,
    }
    return Figure(name, value, "concepts", "higher", tuple(beside), counts)


def _over_concepts(
    several: Sequence[np.ndarray], rng: np.random.Generator, draws: int
) -> tuple[Interval, np.ndarray]:
    """Mean accuracy over concepts, and over dictionaries; and its resamples."""
    means: list[float] = []
    drawn: list[np.ndarray] = []
    for one in several:
        values = one[np.isfinite(one)]
        means.append(float(values.mean()))
        drawn.append(values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1))
    mean, spread = float(np.mean(means)), np.mean(drawn, axis=0)
    if spread.std() > 0:
        return percentile(spread, mean), spread
    # All concepts alike: a bootstrap would claim certainty, Wilson's interval does not.
    n = sum(int(np.isfinite(one).sum()) for one in several)
    share = wilson(round(mean * n), n)
    return Interval(mean, min(mean, share.low), max(mean, share.high)), spread
