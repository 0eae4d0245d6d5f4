"""Baselines: concepts that nobody learned, beside which learned ones must look good."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View, learners
from shiftlens.core.shapes import Acts


@learners.register("random-samples")
@dataclass(frozen=True)
class RandomSamples(ConceptLearner):
    """K random rows taken as centroids.

    A harder baseline than random directions: the rows lie where the states lie.

    Args:
        k: number of concepts.
        seed: of the choice.
    """

    name: ClassVar[str] = "random-samples"
    k: int = 20
    seed: int = 0
    space: str = "raw"

    def begin(self, view: View) -> "_Chosen":
        """Choose rows; see ``ConceptLearner.begin``."""
        rows = np.random.default_rng(self.seed).choice(len(view), self.k, replace=False)
        return _Chosen(view.take(np.sort(rows)))


class _Chosen(Fitting):
    """Vectors that were known before the first row was read."""

    def __init__(self, vectors: Tensor, kind: str = "centroid") -> None:
        self._vectors, self._kind = vectors, kind

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Nothing is learned from rows."""

    def end_pass(self) -> bool:
        """Nothing more is wanted."""
        return False

    def learned(self) -> Learned:
        """The vectors as they were."""
        return Learned(self._vectors, self._kind, (), {})
