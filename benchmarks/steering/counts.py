"""Flags of several splits, pooled into figures with intervals and held against random controls."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.figures import Figure, from_interval, share
from shiftlens.core.intervals import bootstrap_mean
from shiftlens.steering.outcomes import accuracy_loss


@dataclass
class Effect:
    """One effect: a flag for each sample that it could show in, over all splits.

    Attributes:
        name: of the figure.
        goal: for its whole interval.
        how: what was counted.
        flags: whether it did.
        random: for each sample the share of random directions under which it did.
    """

    name: str
    goal: str
    how: str
    flags: list[bool] = field(default_factory=list[bool])
    random: list[float] = field(default_factory=list[float])

    def add(self, flags: Sequence[bool], controls: Sequence[Sequence[bool]] = ()) -> None:
        """Take in one split; ``controls`` are the same flags under random directions."""
        self.flags += list(flags)
        self.random += [float(np.mean(draws)) for draws in zip(*controls, strict=True)]

    def figures(self) -> list[Figure]:
        """The share, and how far it lies above that of random directions."""
        found = [share(self.name, self.flags, self.goal, self.how)]
        if self.random:
            above = np.array(self.flags, dtype=float) - np.array(self.random)
            found.append(
                from_interval(
                    f"{self.name}: minus random",
                    bootstrap_mean(above),
                    "share",
                    "> 0" if self.goal.startswith(">") else "",
                    "paired, minus the mean of three random directions of equal length, same gate",
                )
            )
        return found


@dataclass
class Loss:
    """Accuracy lost where nothing should change, over all splits."""

    name: str
    goal: str
    how: str
    before: list[str] = field(default_factory=list[str])
    after: list[str] = field(default_factory=list[str])
    right: list[str] = field(default_factory=list[str])

    def add(self, before: Sequence[str], after: Sequence[str], right: Sequence[str]) -> None:
        """Take in one split."""
        self.before += list(before)
        self.after += list(after)
        self.right += list(right)

    def figure(self) -> Figure:
        """Accuracy before minus after, paired."""
        loss = accuracy_loss(self.before, self.after, self.right)
        how = f"{self.how}; n = {len(self.before)}"
        return from_interval(self.name, loss, "share", self.goal, how)
