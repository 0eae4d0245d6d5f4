"""Would the learner find the same concepts again, with another seed or on other pictures?

Concepts of two fits are matched one to one so that the summed cosine is largest. Centroids are all
near the mean of the states, and so have high cosines with anything: the centred cosine, after that
mean is taken off, is the one that tells.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.encoders import Projection
from shiftlens.concepts.learners.learner import ConceptLearner, learners
from shiftlens.concepts.quality.agreement import adjusted_rand, agreement
from shiftlens.concepts.quality.baselines import random_directions, random_samples
from shiftlens.concepts.quality.coding import Dictionary, assignments
from shiftlens.concepts.quality.figures import Baseline, Figure
from shiftlens.concepts.quality.resampling import student, units_of
from shiftlens.concepts.rows import MemoryRows, Rows, StoreRows, rows_of
from shiftlens.core.errors import LearnError
from shiftlens.core.progress import Progress, Silent
from shiftlens.core.shapes import Acts, Vectors

NUMBERS = ("matched cosine", "matched cosine, centred", "AMI of refits", "Rand index of refits")
"""What two fits are compared by."""

_Fit = Callable[[Rows, int], Dictionary]
"""A dictionary for some rows and a seed."""


def matched_cosines(
    ours: Vectors,
    theirs: Float[Tensor, "other e"],
    *,
    centre: Float[Tensor, " d"] | None = None,
    signed: bool = True,
) -> np.ndarray:
    """Cosine of each concept with its partner in the other dictionary: (min(k, other),).

    Partners are chosen one to one so that the sum is largest (Hungarian method).

    Args:
        ours: (k, d).
        theirs: (other, d); another width is an error.
        centre: what is taken off both first; for vectors that are states.
        signed: whether a direction and its opposite are two; if not, absolute cosines count.

    Raises:
        LearnError: the widths differ.
    """
    from scipy.optimize import linear_sum_assignment

    if ours.shape[1] != theirs.shape[1]:
        raise LearnError(
            f"concepts of width {ours.shape[1]} cannot be matched with width {theirs.shape[1]}"
        )
    middle = 0.0 if centre is None else centre.double()
    a, b = (normalize(one.double() - middle, dim=1) for one in (ours, theirs))
    table = (a @ b.T).numpy()
    if not signed:
        table = np.abs(table)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns]


def stability(
    learner: ConceptLearner,
    acts: Acts | Rows,
    *,
    like: Dictionary | None = None,
    groups: Sequence[object] | None = None,
    n_refits: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Figure]:
    """Agreement of refits over seeds, and over halves of the data, beside random dictionaries.

    Four numbers each: mean matched cosine, the same centred (for centroids), adjusted mutual
    information and adjusted Rand index of how the two fits assign all rows. *Seeds*: refits with
    other seeds on all rows, each compared with the fit of the first seed. *Halves*: the rows are
    cut into two random halves, several times, and a fit on one is compared with a fit on the other;
    rows of one picture stay together.

    Random samples (and, for directions, random directions) go through the same, refit by refit;
    differences are paired. Intervals are Student's over refits, or cuts: they tell what luck does
    on these rows. Cuts of the same rows are not independent of each other.

    Args:
        learner: how concepts are learned; its seed is replaced in refits.
        acts: (n, d) states, or rows that are read chunk by chunk.
        like: a fit of the learner, where one is at hand: baselines take its encoder and the
            lengths of its vectors.
        groups: one a row; rows of one group (picture) fall into one half.
        n_refits: refits with other seeds, and cuts into halves; from 2 up.
        seed: of cuts and refits.
        progress: who is told; a step is a comparison of two dictionaries.

    Raises:
        LearnError: fewer than two refits, or halves with fewer rows than concepts.
    """
    if n_refits < 2:
        raise LearnError(f"stability from {n_refits} refits", allowed="2 or more")
    rows = rows_of(acts)
    first = like if like is not None else learner.fit(rows)
    refits = _Refits(rows, units_of(len(rows), groups), first, seed, n_refits)
    fits = _fits(learner, first)
    listener = progress or Silent()
    listener.start("refitting", 2 * n_refits * len(fits))
    try:
        found: list[Figure] = []
        for what, compare in (("seeds", refits.seeds), ("halves", refits.halves)):
            compared = {name: np.asarray(compare(fit, listener)).T for name, fit in fits.items()}
            found += _figures(what, compared, n_refits)
        return found
    finally:
        listener.stop()


def learner_of(concepts: Concepts) -> ConceptLearner | None:
    """The learner that concepts say they were learned by; ``None`` where they do not.

    Raises:
        LearnError: the learner does not know an option that it is said to have had.
    """
    options = {key: value for key, value in concepts.learner.items() if key != "report"}
    name = options.pop("name", None)
    if name not in learners.names():
        return None
    try:
        return learners.get(name)(**options)
    except TypeError as error:
        raise LearnError(f"the learner {name!r} cannot be made again ({error})") from error


def _fits(learner: ConceptLearner, first: Dictionary) -> dict[str, _Fit]:
    """The learner under an empty name, and what is put in its place."""
    again: Any = replace
    fits: dict[str, _Fit] = {
        "": lambda rows, seed: again(learner, seed=seed).fit(rows),
        "random samples": lambda rows, seed: random_samples(first, rows, seed=seed),
    }
    if first.kind == "direction":
        fits["random directions"] = lambda _rows, seed: random_directions(first, seed=seed)
    return fits


class _Refits:
    """Comparisons of two fits: the same rows and cuts for everything that is compared."""

    def __init__(
        self, rows: Rows, units: np.ndarray, first: Dictionary, seed: int, n_refits: int
    ) -> None:
        self._rows, self._units, self._first, self._seed = rows, units, first, seed
        self._cuts = [_cut(units, np.random.default_rng([seed, turn])) for turn in range(n_refits)]
        sums = sum(states.double().sum(dim=0).cpu() for _, states in rows.chunks())
        self._mean = torch.as_tensor(sums) / len(rows)

    def seeds(self, fit: _Fit, listener: Progress) -> list[list[float]]:
        """The fit with the first seed, against one with every other seed."""
        ours = fit(self._rows, self._seed)
        found: list[list[float]] = []
        for turn in range(len(self._cuts)):
            found.append(self._compared(ours, fit(self._rows, self._seed + turn + 1)))
            listener.advance()
        return found

    def halves(self, fit: _Fit, listener: Progress) -> list[list[float]]:
        """Fits on the two halves of every cut, of different seeds."""
        found: list[list[float]] = []
        for turn, cut in enumerate(self._cuts):
            ours, theirs = (
                fit(_part(self._rows, half), self._seed + 2 * turn + side)
                for side, half in enumerate(cut)
            )
            found.append(self._compared(ours, theirs))
            listener.advance()
        return found

    def _compared(self, ours: Dictionary, theirs: Dictionary) -> list[float]:
        """Matched cosine, centred cosine (NaN for directions), AMI and ARI."""
        # A direction of PCA and its opposite say the same; a code that cannot be negative tells.
        signed = not isinstance(self._first.encoder, Projection)
        pair = (ours.vectors, theirs.vectors)
        plain = matched_cosines(*pair, signed=signed).mean()
        centred = float("nan")
        if self._first.kind == "centroid":
            centred = matched_cosines(*pair, centre=self._mean).mean()
        mine, other = (assignments(one, self._rows) for one in (ours, theirs))
        labels = other.tolist()
        return [float(plain), float(centred), agreement(mine, labels), adjusted_rand(mine, labels)]


def _cut(units: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two random halves of the units."""
    order = rng.permutation(int(units.max()) + 1)
    first = np.isin(units, order[: len(order) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def _part(rows: Rows, numbers: np.ndarray) -> Rows:
    """Some of the rows; those of a store stay on disk."""
    if isinstance(rows, StoreRows):
        return StoreRows(rows.store.at_rows(numbers.tolist()), rows.layer)
    return MemoryRows(rows.take(numbers))


def _figures(what: str, compared: dict[str, np.ndarray], n: int) -> list[Figure]:
    """One figure for each of the four numbers that the concepts have."""
    own = compared[""]
    found: list[Figure] = []
    for place, name in enumerate(NUMBERS):
        if not np.isfinite(own[place]).all():
            continue
        beside = tuple(
            Baseline(
                key,
                student(numbers[place], most=1.0),
                student(own[place] - numbers[place]),
            )
            for key, numbers in compared.items()
            if key
        )
        value = student(own[place], most=1.0)
        unit = "refits" if what == "seeds" else "cuts"
        found.append(Figure(f"{name} over {what}", value, unit, "higher", beside, {unit: n}))
    return found
