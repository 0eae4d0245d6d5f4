"""``choose_k``: how many concepts, by what they explain elsewhere and by whether they come back.

Every fit sees one half of the pictures. With several seeds for each half, the same fits tell how
well the other half is described, whether another seed finds the same concepts, and whether the
other half does.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore
from shiftlens.concepts.choice import SHARE, STABLE, Choice, TriedK, choose
from shiftlens.concepts.given import counts_given, learner_given, store_given
from shiftlens.concepts.learners.learner import ConceptLearner
from shiftlens.concepts.learners.survey import count_different, space_of, survey
from shiftlens.concepts.quality.resampling import units_of
from shiftlens.concepts.rows import MemoryRows, Rows, StoreRows, rows_of
from shiftlens.concepts.trying import Halves, Trial, WordsOf, try_k
from shiftlens.core.errors import LearnError
from shiftlens.core.intervals import Interval, percentile
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.shapes import Acts

MOST_ROWS = 20_000
"""Rows that are measured at most: those of randomly chosen pictures, where there are more."""

_BLOCK = 4_000_000  # resampled pictures held at once


def choose_k(
    states: Acts | Rows | ActivationStore | str | Path,
    learner: ConceptLearner,
    ks: Sequence[int],
    *,
    groups: Sequence[object] | None = None,
    layer: int | None = None,
    n_seeds: int = 5,
    seed: int = 0,
    words_of: WordsOf | None = None,
    share: float = SHARE,
    stable: float = STABLE,
    most_rows: int = MOST_ROWS,
    draws: int = 1000,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Choose how many concepts to learn, by a rule that is fixed beforehand (``Choice.rule``).

    The rows are cut into two halves by picture. For each k the learner runs on each half with every
    seed. What counts is how well rows of the *other* half are reconstructed, and whether the two
    halves find the same concepts, beyond what random samples of them do. In few dimensions (two or
    three, or where so few dominate: ``Choice.dominant``) any partition is stable, and the rule
    cannot tell noise from concepts.

    Args:
        states: (n, d) in memory, rows that are read in chunks, a store, or its path. Of
            more than ``most_rows`` rows a random sample of pictures is measured.
        learner: any; its k and seed are replaced.
        ks: numbers of concepts to try; tried in ascending order, each once.
        groups: n values; rows with the same one (of one picture) stay in one half. A store knows
            its pictures; otherwise every row is on its own.
        layer: which of the store's layers; may be left out when there is one.
        n_seeds: seeds for each half, at least 2.
        seed: the first of them; also of the sample, the halves and the resampling.
        words_of: gives concepts their words, for the overlap between concepts.
        share: of the best k's reconstruction, what a smaller one must reach.
        stable: of the way from random samples to a perfect match, what halves must agree.
        most_rows: how many rows are measured at most.
        draws: resamples of pictures behind each interval.
        device: where to compute; where the states are by default, the CPU for a store.
        progress: who is told; a step is a fit.

    Returns:
        the chosen k, and for each k what was measured, with intervals and random samples beside it.

    Raises:
        LearnError: no k, one below 2 or above the (different) rows of a half, fewer than two
            pictures or seeds, groups that do not fit the rows, states that are not finite or all
            one, or no states or learner where these belong.
        SiteError: the store does not hold that layer.
        StoreError: no finished store lies at the path.
    """
    learner, counts = learner_given(learner), counts_given(ks)
    _check(counts, n_seeds, share, stable)
    rows = _rows(states, layer)
    if groups is None and isinstance(rows, StoreRows):
        groups = pictures_of(rows.store)
    numbers = units_of(len(rows), groups)
    halves = _cut(rows, numbers, learner, most_rows, seed, device)
    fits = [replace(learner, k=k, seed=seed) for k in counts]  # pyright: ignore
    _check_sizes(fits, halves)
    listener = progress or Silent()
    listener.start("trying numbers of concepts", 2 * n_seeds * len(fits))
    try:
        trials = [try_k(halves, one, n_seeds, words_of, listener) for one in fits]
    finally:
        listener.stop()
    tried, slack = _judged(trials, share, seed, draws)
    chosen, reason = choose(tried, slack, share=share, stable=stable)
    options = {name: v for name, v in learner.options().items() if name not in ("k", "seed")}
    return Choice(
        tried=tuple(tried),
        chosen=chosen,
        reason=reason,
        share=share,
        stable=stable,
        learner=options,
        dominant=halves.dominant,
        n=sum(len(half) for half in halves.acts),
        of=len(rows),
        groups=halves.n_pictures,
        n_seeds=n_seeds,
        seed=seed,
    )


def pictures_of(store: ActivationStore) -> list[str]:
    """What tells which rows of a store are of one picture: its path, or the sample without one."""
    return [row.image or row.sample_id for row in store.rows]


def _rows(states: object, layer: int | None) -> Rows:
    if isinstance(states, Tensor | Rows):
        return rows_of(states)
    return StoreRows(store_given(states), layer)


def _check(counts: Sequence[int], n_seeds: int, share: float, stable: float) -> None:
    if not counts or counts[0] < 2:
        raise LearnError(
            f"cannot choose among k = {', '.join(map(str, counts)) or 'nothing'}",
            allowed="numbers of concepts from 2 up, such as 5, 10, 20, 40",
            remedy="one concept tells nothing apart",
        )
    if n_seeds < 2:
        raise LearnError(
            f"{n_seeds} seeds do not tell how stable concepts are", allowed="2 or more"
        )
    if not (0 < share <= 1 and 0 <= stable <= 1):
        raise LearnError(f"share {share} and stable {stable}", allowed="from 0 to 1")


def _check_sizes(fits: Sequence[ConceptLearner], halves: Halves) -> None:
    fewest = min(len(half) for half in halves.acts)
    if fits[-1].k > fewest:
        raise LearnError(
            f"k = {fits[-1].k} with a half of {fewest} rows",
            allowed=f"numbers of concepts up to {fewest}: half of the rows are kept for judging",
            remedy="leave out the larger ones, or harvest more samples",
        )
    for one in fits:
        for half in halves.acts:
            one.check(MemoryRows(half))
    for half in halves.acts:
        points = halves.space.into(half.to(halves.device))
        different = count_different(
            [(None, points)], fits[-1].k, on_sphere=halves.space.name == "unit"
        )
        if different < fits[-1].k:
            raise LearnError(
                f"k = {fits[-1].k} with a half of {different} different rows ({len(half)} in all)",
                allowed=f"numbers of concepts up to {different}",
                remedy="leave out the larger ones, or harvest samples whose states differ",
            )


def _cut(
    rows: Rows,
    numbers: np.ndarray,
    learner: ConceptLearner,
    most_rows: int,
    seed: int,
    device: str | torch.device | None,
) -> Halves:
    """Two halves of the pictures, or of a random sample of them, in memory."""
    sizes = np.bincount(numbers)
    if len(sizes) < 2:
        raise LearnError("rows of one picture cannot be halved", allowed="two pictures or more")
    order = np.random.default_rng(seed).permutation(len(sizes))
    kept = max(2, int(np.searchsorted(np.cumsum(sizes[order]), most_rows, side="right")))
    cut = [np.flatnonzero(np.isin(numbers, half)) for half in np.array_split(order[:kept], 2)]
    both = np.sort(np.concatenate(cut))
    states = rows.take(both)
    inside = [torch.from_numpy(np.searchsorted(both, half)).to(states.device) for half in cut]
    where = states.device if device is None else torch.device(device)
    _, places = np.unique(numbers[both], return_inverse=True)
    found = survey(MemoryRows(states), where)
    if not bool(found.variance.sum() > 0):
        raise LearnError("all states are one: there is nothing to tell apart")
    space = space_of(learner.space_name, MemoryRows(states), found, where)
    return Halves(
        acts=(states[inside[0]], states[inside[1]]),
        pictures=(places[inside[0].cpu().numpy()], places[inside[1].cpu().numpy()]),
        n_pictures=kept,
        space=space,
        centre=space.into(states.to(where)).mean(dim=0, keepdim=True),
        device=where,
        dominant=found.report(),
    )


def _judged(
    trials: Sequence[Trial], share: float, seed: int, draws: int
) -> tuple[list[TriedK], np.ndarray]:
    """Reconstructions with intervals, and the standard errors that the rule needs (k, k)."""
    whole = trials[0].whole
    if not whole.sum() > 0:
        raise LearnError("the states of a half are all one: there is nothing to tell apart")
    columns = [one.rest for one in trials] + [one.random_rest for one in trials]
    sums = _resampled(np.stack([*columns, whole], axis=1), seed, draws)
    explained = 1 - sums[:, :-1] / sums[:, -1:]
    k = len(trials)

    def interval(column: int) -> Interval:
        estimate = 1 - float(columns[column].sum() / whole.sum())
        return percentile(explained[:, column], estimate)

    tried = [
        TriedK(one.k, interval(at), interval(k + at), **one.figures)
        for at, one in enumerate(trials)
    ]
    own = explained[:, :k]
    slack = np.nanstd(own[:, :, None] - share * own[:, None, :], axis=0)
    return tried, slack


def _resampled(columns: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Sums (draws, columns) over pictures (g, columns) that are drawn with replacement."""
    g, rng = len(columns), np.random.default_rng(seed)
    step = max(1, _BLOCK // g)
    found: list[np.ndarray] = []
    for start in range(0, draws, step):
        picks = rng.integers(0, g, (min(step, draws - start), g))
        weights = np.stack([np.bincount(row, minlength=g) for row in picks])
        found.append(weights @ columns)
    return np.concatenate(found)
