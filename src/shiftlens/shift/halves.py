"""Halves of the samples: one to learn and estimate from, the other to judge by.

Rows of one sample (or picture) stay together, so that none of them helps to judge itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shiftlens.core.shapes import Acts


@dataclass(frozen=True)
class Halves:
    """The two halves of one cut: states of both models, estimation and judging."""

    base: Acts
    tuned: Acts
    judging_base: Float[Tensor, "m d"]
    judging_tuned: Float[Tensor, "m d"]


@dataclass(frozen=True)
class Pairs:
    """Paired states of two models and the sample of each row.

    Attributes:
        base, tuned: (n, d) states of the same rows.
        samples: (n,) number of each row's sample, from 0.
    """

    base: Acts
    tuned: Acts
    samples: np.ndarray

    @staticmethod
    def of(base: Acts, tuned: Acts, sample_ids: Sequence[str]) -> "Pairs":
        """Pair states, with samples named by ids."""
        _, numbers = np.unique(np.asarray(sample_ids), return_inverse=True)
        return Pairs(base, tuned, numbers.reshape(-1))

    def halves(self, estimation: np.ndarray, judging: np.ndarray) -> Halves:
        """The states of two lists of rows."""
        return take(self.base, self.tuned, estimation, judging)


def cut(ids: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two random halves; rows of one sample stay together."""
    samples = rng.permutation(np.unique(ids))
    first = np.isin(ids, samples[: len(samples) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def take(base: Acts, tuned: Acts, estimation: np.ndarray, judging: np.ndarray) -> Halves:
    """The states of the given rows in float32."""
    e, j = torch.from_numpy(estimation), torch.from_numpy(judging)
    return Halves(base[e].float(), tuned[e].float(), base[j].float(), tuned[j].float())


class Resampler:
    """Draws samples with replacement; rows of a sample come along as often as it is drawn."""

    def __init__(self, samples: np.ndarray) -> None:
        self._order = np.argsort(samples, kind="stable")
        _, self._sizes = np.unique(samples, return_counts=True)
        self._starts = np.cumsum(self._sizes) - self._sizes

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of as many samples as there are."""
        chosen = rng.integers(0, len(self._sizes), len(self._sizes))
        sizes, starts = self._sizes[chosen], self._starts[chosen]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self._order[np.repeat(starts, sizes) + within]
