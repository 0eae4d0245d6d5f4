"""``Cutting``: a base's states in two halves, and what other models changed in them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from shiftlens.activations.store import ActivationStore, paired
from shiftlens.concepts.concepts import Concepts
from shiftlens.concepts.learners.learner import ConceptLearner, Learned
from shiftlens.concepts.learning import learn
from shiftlens.core.errors import LearnError
from shiftlens.shift.effects import group_numbers
from shiftlens.shift.halves import cut
from shiftlens.shift.refits import Split


@dataclass(frozen=True)
class Cutting:
    """Two halves of a base's states: concepts are learned on one, judged on the other.

    Attributes:
        base: states of one layer.
        learner: of the concepts.
        seed: of the cut.
    """

    base: ActivationStore
    learner: ConceptLearner
    seed: int = 0

    @cached_property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the estimation and of the judging half; rows of one picture stay together.

        Raises:
            LearnError: fewer than two states a concept in one of them.
        """
        groups = np.asarray(self._pictures())
        rng = np.random.default_rng([self.seed, 23])
        halves = cut(groups, rng)
        if min(map(len, halves)) < 2 * self.learner.k:
            raise LearnError(
                f"{len(groups)} states are too few for two halves and {self.learner.k} concepts",
                allowed=f"at least {4 * self.learner.k}",
                remedy="give more samples, another word, or a smaller k",
            )
        return halves

    @cached_property
    def estimation(self) -> ActivationStore:
        """The states that concepts are learned from."""
        return self.base.at_rows(self.halves[0].tolist())

    @cached_property
    def concepts(self) -> Concepts:
        """The concepts, without words."""
        return learn(self.estimation, self.learner)

    @cached_property
    def learned(self) -> Learned:
        """The same, bare."""
        return self.concepts.learned

    @property
    def sizes(self) -> dict[str, int]:
        """Pictures of each half."""
        named = self._pictures()
        return {
            name: len({named[i] for i in half.tolist()})
            for name, half in zip(("estimation", "judging"), self.halves, strict=True)
        }

    @property
    def pictures(self) -> list[int]:
        """Judging pictures of each concept."""
        named, rows = self._pictures(), self.halves[1].tolist()
        labels = self.learned.assign(self.base.states()[torch.tensor(rows)]).tolist()
        held: list[set[str]] = [set() for _ in range(len(self.learned.vectors))]
        for row, label in zip(rows, labels, strict=True):
            held[label].add(named[row])
        return [len(one) for one in held]

    def split(self, other: ActivationStore) -> Split:
        """Base states of both halves, with the changes to another model's."""
        before = self.base.states().float()
        delta = paired(self.base, other)[1].states().float() - before
        named, pieces = self._pictures(), list[Tensor]()
        for half in self.halves:
            index = torch.from_numpy(half)
            groups, _ = group_numbers([named[i] for i in half.tolist()])
            pieces += [before[index], delta[index], groups]
        return Split(*pieces)

    def _pictures(self) -> list[str]:
        return [row.image or row.sample_id for row in self.base.rows]
