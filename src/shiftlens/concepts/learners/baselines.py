"""Baselines: concepts that nobody learned, beside which learned ones must look good."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

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
        space: where rows are compared with them; one of ``shiftlens.concepts.space.SPACES``.
    """

    name: ClassVar[str] = "random-samples"
    k: int = 20
    seed: int = 0
    space: str = "raw"

    def begin(self, view: View) -> "_Known":
        """Choose rows; see ``ConceptLearner.begin``."""
        rows = np.random.default_rng(self.seed).choice(len(view), self.k, replace=False)
        return _Known(view.take(np.sort(rows)), "centroid")


@learners.register("random-directions")
@dataclass(frozen=True)
class RandomDirections(ConceptLearner):
    """K directions drawn evenly from the unit sphere of the space.

    What any dictionary must beat. The draw depends on seed, k and width alone, not on the rows.
    Rows are encoded in the space: their scalar products there with the directions as drawn.

    Args:
        k: number of concepts.
        seed: of the draw.
        space: where they are drawn; one of ``shiftlens.concepts.space.SPACES``.
    """

    name: ClassVar[str] = "random-directions"
    kind: ClassVar[str] = "direction"
    k: int = 20
    seed: int = 0
    space: str = "raw"

    def begin(self, view: View) -> "_Known":
        """Draw directions; see ``ConceptLearner.begin``."""
        drawn = np.random.default_rng(self.seed).standard_normal((self.k, view.d))
        return _Known(normalize(torch.from_numpy(drawn), dim=1).float(), "direction")


@learners.register("largest-norm")
@dataclass(frozen=True)
class LargestNorm(ConceptLearner):
    """The k rows that lie farthest from the origin of the space, taken as centroids.

    Of equal ones the row that comes first is taken. In ``unit`` all rows are equally far, and the
    first k rows are chosen.

    Args:
        k: number of concepts.
        seed: decides nothing here; learners have one.
        space: where lengths are taken; one of ``shiftlens.concepts.space.SPACES``.
    """

    name: ClassVar[str] = "largest-norm"
    k: int = 20
    seed: int = 0
    space: str = "raw"

    def begin(self, view: View) -> "_Farthest":
        """Nothing is known yet; see ``ConceptLearner.begin``."""
        return _Farthest(self.k, view)


class _Known(Fitting):
    """Vectors that were known before the first row was read."""

    wants_rows = False

    def __init__(self, vectors: Tensor, kind: str) -> None:
        self._vectors, self._kind = vectors, kind

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Nothing is learned from rows."""

    def end_pass(self) -> bool:
        """Nothing more is wanted."""
        return False

    def learned(self) -> Learned:
        """The vectors as they were."""
        return Learned(self._vectors, self._kind, (), {})


class _Farthest(Fitting):
    """The k longest rows so far."""

    def __init__(self, k: int, view: View) -> None:
        self._k = k
        self._rows = torch.zeros(0, view.d, device=view.device)
        self._numbers = torch.zeros(0, dtype=torch.long, device=view.device)
        # Rows of length one differ by rounding alone.
        self._equal = view.space.name == "unit"

    def update(self, states: Acts, numbers: Tensor) -> None:
        """Keep the longest of those kept and these."""
        rows, all_numbers = self._longest(states, numbers.to(states.device))
        rows = torch.cat((self._rows, rows))
        all_numbers = torch.cat((self._numbers, all_numbers))
        self._rows, self._numbers = self._longest(rows, all_numbers)

    def _longest(self, rows: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        by_number = numbers.argsort()
        # A length is the same whatever rows stand beside it, so that equal rows tie.
        lengths = torch.linalg.vector_norm(rows, dim=1)[by_number]
        if self._equal:
            lengths = torch.ones_like(lengths)
        order = by_number[lengths.argsort(descending=True, stable=True)[: self._k]]
        return rows[order], numbers[order]

    def end_pass(self) -> bool:
        """One pass is enough."""
        return False

    def learned(self) -> Learned:
        """The rows, longest first."""
        report: dict[str, Any] = {"rows": self._numbers.tolist()}
        return Learned(self._rows, "centroid", (), report)
