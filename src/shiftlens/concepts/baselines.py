"""Baselines: concepts that nobody learned, beside which learned ones must look good."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from shiftlens.concepts.learner import ConceptLearner, Learned, learners
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

    def fit(self, acts: Acts) -> Learned:
        """Choose rows; see ``ConceptLearner.fit``."""
        data = self.check(acts)
        rows = np.random.default_rng(self.seed).choice(len(data), self.k, replace=False)
        vectors = data[torch.from_numpy(np.sort(rows))].clone()
        labels = torch.cdist(data, vectors).argmin(dim=1)
        sizes = tuple(torch.bincount(labels, minlength=self.k).tolist())
        return Learned(vectors, "centroid", sizes, {})
