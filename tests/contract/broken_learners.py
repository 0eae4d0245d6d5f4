"""Learners that break the contract, one property each, one that keeps it, and who listens."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from shiftlens.concepts.encoders import Nearest
from shiftlens.concepts.learners.learner import ConceptLearner, Fitting, Learned, View


@dataclass(frozen=True)
class Broken(ConceptLearner):
    """The first k rows, with one fault."""

    name: ClassVar[str] = "broken"
    k: int = 4
    seed: int = 0
    fault: str = ""
    max_iter: int = 1

    def begin(self, view: View) -> "_BrokenFit":
        return _BrokenFit(self, view)

    def fit(self, acts: Any, **options: Any) -> Learned:
        learned = super().fit(acts, **options)
        if self.fault == "miscounts":
            return replace(learned, sizes=(len(acts), *(0,) * (self.k - 1)))
        return learned


class _BrokenFit(Fitting):
    def __init__(self, learner: Broken, view: View) -> None:
        self._learner, self._view, self._last = learner, view, torch.zeros(0)

    def update(self, states: Tensor, numbers: Tensor) -> None:
        if self._learner.fault == "changes its input":
            states += 1
        self._last = states

    def end_pass(self) -> bool:
        return False

    def learned(self) -> Learned:
        fault, k = self._learner.fault, self._learner.k
        rows = torch.arange(k)
        vectors = next(iter(self._view.chunks()))[1][rows].clone()
        report = {"objective": 1.0, "iterations": 1, "converged": True}
        encoder = _OfAll() if fault == "encodes rows by their neighbours" else Nearest()
        if fault == "is not seeded":
            vectors += torch.rand_like(vectors)
        if fault == "learns from the last chunk":
            vectors += self._last.mean(dim=0)
            report["objective"] = float(self._last.square().sum())
        if fault == "tells nothing":
            report = {}
        if fault == "reports what is no JSON":
            report["objective"] = torch.nan
        if fault == "has another type":
            vectors = vectors.double()
        return Learned(vectors, "centroid", (), report, encoder)


class _OfAll(Nearest):
    """Centres rows on the mean of those at hand."""

    def assign(self, acts: Tensor, vectors: Tensor) -> Tensor:
        return torch.cdist(acts - acts.mean(dim=0), vectors).argmin(dim=1)


class Listener:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.steps = self.stops = 0

    def start(self, label: str, total: int) -> None:
        self.labels.append(label)

    def advance(self, n: int = 1) -> None:
        self.steps += n

    def stop(self) -> None:
        self.stops += 1
