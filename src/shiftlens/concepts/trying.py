"""One k, learned on both halves of the rows with several seeds: the figures that a choice is by.

Notation: n rows, d width, k concepts, g pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.concepts.choice import Spread
from shiftlens.concepts.concepts import WordLists
from shiftlens.concepts.encoders import NO_CONCEPT, Projection
from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.concepts.quality.baselines import random_samples
from shiftlens.concepts.quality.overlap import word_overlap
from shiftlens.concepts.quality.stability import matched_cosines
from shiftlens.concepts.rows import MemoryRows
from shiftlens.concepts.space import Space
from shiftlens.core.progress import Progress
from shiftlens.core.shapes import Acts, Vectors

WordsOf = Callable[[Learned], WordLists]
"""The words of each of some concepts."""

_AT_ONCE = 2**22  # numbers of a chunk that is encoded at once


@dataclass(frozen=True)
class Halves:
    """Rows cut in two, so that rows of one picture are in one half.

    Attributes:
        acts: the states of each half (n, d).
        pictures: number of each row's picture, from 0 to ``n_pictures``, for each half.
        n_pictures: in both.
        space: coordinates that are the same for all fits, in which their concepts are compared.
        centre: mean state in it.
        device: where to compute.
        dominant: the few dimensions that carry most of the variance, if there are such.
    """

    acts: tuple[Float[Tensor, "first d"], Float[Tensor, "second d"]]
    pictures: tuple[np.ndarray, np.ndarray]
    n_pictures: int
    space: Space
    centre: Float[Tensor, "1 d"]
    device: torch.device
    dominant: dict[str, Any]

    def points(self, learned: Learned) -> Vectors:
        """Concepts in the common space, on the CPU; states without their mean."""
        vectors = learned.vectors.to(self.device)
        if learned.kind == "direction":
            return self.space.directions_into(vectors).cpu()
        return (self.space.into(vectors) - self.centre).cpu()


@dataclass(frozen=True)
class Trial:
    """What the fits of one k say, before intervals are drawn.

    Attributes:
        k: number of concepts.
        rest: (g,) squared distance of each picture's rows to their reconstruction.
        random_rest: the same with random samples for concepts.
        whole: (g,) squared distance of each picture's rows to the mean of the other half.
        figures: the fields of ``TriedK`` that need no interval.
    """

    k: int
    rest: np.ndarray
    random_rest: np.ndarray
    whole: np.ndarray
    figures: dict[str, Any]


def try_k(
    halves: Halves,
    learner: ConceptLearner,
    n_seeds: int,
    words_of: WordsOf | None,
    progress: Progress,
) -> Trial:
    """Learn on each half with every seed, and judge on the other.

    Args:
        halves: the rows.
        learner: with the k to try, and the first of the seeds.
        n_seeds: at least 2.
        words_of: gives concepts their words; without it there is no overlap.
        progress: a step is a fit; started and stopped by the caller.
    """
    rest, random_rest, whole = (np.zeros(halves.n_pictures) for _ in range(3))
    fits: tuple[list[Learned], list[Learned]] = ([], [])
    random: tuple[list[Learned], list[Learned]] = ([], [])
    labels: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for half, offset in product((0, 1), range(n_seeds)):
        acts, judged = halves.acts[half], halves.acts[1 - half]
        seeded: ConceptLearner = replace(learner, seed=learner.seed + offset)  # pyright: ignore
        learned = seeded.fit(acts, device=halves.device)
        chance = random_samples(learned, MemoryRows(acts), seed=seeded.seed)
        mean = _mean(learned, acts)
        mine = judge(learned, judged, mean, halves.device)
        theirs = judge(chance, judged, mean, halves.device)
        for sums, values in ((rest, mine.rest), (random_rest, theirs.rest), (whole, mine.whole)):
            np.add.at(sums, halves.pictures[1 - half], values / n_seeds)
        own = judge(learned, acts, mean, halves.device)
        both = (own, mine) if half == 0 else (mine, own)  # rows of the first half first
        labels[half].append(np.concatenate([one.labels for one in both]))
        fits[half].append(learned)
        random[half].append(chance)
        progress.advance()
    figures = {
        **_stability(halves, fits, random),
        **_agreement(fits, labels),
        **_overlap(fits, random, words_of),
        "converged": _converged([*fits[0], *fits[1]]),
    }
    return Trial(learner.k, rest, random_rest, whole, figures)


@dataclass(frozen=True)
class Judged:
    """Rows beside concepts: squared distances (n,) to reconstruction and mean, and assignment."""

    rest: np.ndarray
    whole: np.ndarray
    labels: np.ndarray


def judge(learned: Learned, acts: Acts, mean: Tensor, device: torch.device) -> Judged:
    """Encode rows once, in chunks; distances are taken in the learner's space.

    Args:
        learned: the concepts.
        acts: (n, d) rows that they are judged on.
        mean: (d,) what the rows are compared with otherwise, a point of the space.
        device: where to compute.
    """
    into = learned.encoder.space.into
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for chunk in acts.split(max(1, _AT_ONCE // acts.shape[1])):
        states = chunk.to(device).float()
        codes = learned.encode(states)
        rebuilt = learned.encoder.reconstruct(codes, learned.vectors)
        points = into(states)
        best = codes.max(dim=1)
        parts.append(
            (
                (points - into(rebuilt)).square().sum(dim=1),
                (points - mean).square().sum(dim=1),
                torch.where(best.values > 0, best.indices, NO_CONCEPT),
            )
        )
    rest, whole, labels = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return Judged(rest.astype(np.float64), whole.astype(np.float64), labels)


def _mean(learned: Learned, acts: Acts) -> Tensor:
    """Mean point of the rows in the learner's space, chunk by chunk."""
    total = sum(
        learned.encoder.space.into(chunk).double().sum(dim=0)
        for chunk in acts.split(max(1, _AT_ONCE // acts.shape[1]))
    )
    assert isinstance(total, Tensor)  # there is at least one row
    return (total / len(acts)).float()


def _stability(
    halves: Halves,
    fits: tuple[list[Learned], list[Learned]],
    random: tuple[list[Learned], list[Learned]],
) -> dict[str, Spread]:
    signed = not isinstance(fits[0][0].encoder, Projection)
    found = [[halves.points(one) for one in half] for half in fits]
    chance = [[halves.points(one) for one in half] for half in random]
    within = [pair for half in found for pair in combinations(half, 2)]

    def spread(pairs: Sequence[Sequence[Tensor]]) -> Spread:
        return Spread.of(
            [float(matched_cosines(one, other, signed=signed).mean()) for one, other in pairs]
        )

    return {
        "seeds": spread(within),
        "halves": spread(list(product(*found))),
        "random_halves": spread(list(product(*chance))),
    }


def _agreement(
    fits: tuple[list[Learned], list[Learned]], labels: tuple[list[np.ndarray], list[np.ndarray]]
) -> dict[str, Spread]:
    from sklearn.metrics import adjusted_mutual_info_score

    if isinstance(fits[0][0].encoder, Projection):
        return {}
    within = [pair for half in labels for pair in combinations(half, 2)]
    pairs = {"seeds_agreement": within, "halves_agreement": list(product(*labels))}
    return {
        name: Spread.of([float(adjusted_mutual_info_score(*pair)) for pair in of])
        for name, of in pairs.items()
    }


def _overlap(
    fits: tuple[list[Learned], list[Learned]],
    random: tuple[list[Learned], list[Learned]],
    words_of: WordsOf | None,
) -> dict[str, float]:
    if words_of is None:
        return {}
    first = {"overlap": fits, "random_overlap": random}
    return {
        name: float(np.mean([_shared(words_of(half[0])) for half in of]))
        for name, of in first.items()
    }


def _shared(words: WordLists) -> float:
    """Mean share of its words that a concept has in common with another one."""
    table = word_overlap(words)
    np.fill_diagonal(table, np.nan)
    return float(np.nanmean(table)) if np.isfinite(table).any() else 0.0


def _converged(fits: Sequence[Learned]) -> float | None:
    said = [bool(one.report["converged"]) for one in fits if "converged" in one.report]
    return sum(said) / len(said) if said else None
