"""A seeded sample of rows that fits in memory: all of them, where they are few."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from shiftlens.concepts.learners.learner import View
from shiftlens.core.shapes import Acts

SAMPLE_VALUES = 2**25
"""Numbers in a sample at most: 128 MB in float32."""

_ROWS_A_CONCEPT = 256
_FEWEST_ROWS = 2**14
_ROWS_A_CONCEPT_AT_LEAST = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows in memory, in the learner's space.

    Attributes:
        rows: (m, d) float32, the sample's own memory.
        whole: whether these are all rows, in the order of their numbers.
    """

    rows: Acts
    whole: bool


def draw(view: View, k: int, rng: np.random.Generator) -> Sample:
    """All rows where they are no more than a sample has; otherwise drawn without replacement.

    A sample has 256 rows for each of k concepts, or 16,384 rows where that is more, as far as they
    fit ``SAMPLE_VALUES``; but at least 8 for each concept even where they do not.
    """
    n = len(view)
    usual = max(_ROWS_A_CONCEPT * k, _FEWEST_ROWS)
    fitting = min(usual, SAMPLE_VALUES // max(1, view.d))
    size = max(fitting, _ROWS_A_CONCEPT_AT_LEAST * k)
    if n <= size:
        return Sample(_all(view), whole=True)
    numbers = np.sort(rng.choice(n, size, replace=False))
    return Sample(view.take(numbers), whole=False)


def _all(view: View) -> Tensor:
    rows = torch.empty(len(view), view.d, device=view.device)
    for numbers, states in view.chunks():
        rows[numbers.to(view.device)] = states
    return rows
