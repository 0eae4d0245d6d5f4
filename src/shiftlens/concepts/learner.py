"""What every learner is: options in ``__init__``, ``fit`` gives a frozen ``Concepts``."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from shiftlens.core.errors import LearnError
from shiftlens.core.registry import Registry
from shiftlens.core.shapes import Acts, Assignment, Vectors


@dataclass(frozen=True)
class Learned:
    """Bare outcome of a learner, before it is tied to a site.

    Attributes:
        vectors: (k, d) float32.
        kind: ``centroid`` or ``direction``.
        sizes: rows of each concept.
        report: how the fit went (objective, iterations, convergence).
    """

    vectors: Vectors
    kind: str
    sizes: tuple[int, ...]
    report: dict[str, Any]

    def assign(self, acts: Acts) -> Assignment:
        """Concept of each row (n,): nearest centroid, or direction with the largest code."""
        if self.kind == "centroid":
            return torch.cdist(acts.float(), self.vectors).argmin(dim=1)
        directions = torch.nn.functional.normalize(self.vectors, dim=1)
        return (acts.float() @ directions.T).argmax(dim=1)


class ConceptLearner(ABC):
    """Learns k concepts from states; a subclass is a dataclass of its options."""

    name: ClassVar[str]
    k: int
    seed: int

    @abstractmethod
    def fit(self, acts: Acts) -> Learned:
        """Learn from states in memory.

        Args:
            acts: (n, d), any float type; not changed.

        Raises:
            LearnError: k does not fit the rows, or a state is not finite.
        """

    def options(self) -> dict[str, Any]:
        """The learner's name and options, for provenance."""
        return {"name": self.name, **asdict(self)}  # pyright: ignore[reportArgumentType,reportCallIssue]

    def check(self, acts: Acts) -> Tensor:
        """The states in float32, or one clear error."""
        if self.k < 1 or self.k > len(acts):
            raise LearnError(
                f"cannot learn {self.k} concepts from {len(acts)} rows",
                allowed=f"k from 1 to {len(acts)}",
                remedy="choose a smaller k, or harvest more samples that say the word",
            )
        data = acts.float()
        if not bool(torch.isfinite(data).all()):
            bad = int((~torch.isfinite(data).all(dim=1)).sum())
            raise LearnError(
                f"{bad} of {len(acts)} states are not finite", remedy="drop those rows"
            )
        return data


learners: Registry[type[ConceptLearner]] = Registry("learner")
